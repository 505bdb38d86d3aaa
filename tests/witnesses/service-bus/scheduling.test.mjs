import assert from "node:assert/strict";
import Long from "long";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { bodies, client, contents, receiveAll, receiveOne } from "./namespace.mjs";

const SOON_MS = 2_000;
const inMs = (delayMs) => new Date(Date.now() + delayMs);

feature("Scheduling", () => {
  behaviour(
    "A scheduled message does not materialise before its time, and then has a new sequence number",
    "azure/service-bus-messaging/message-sequencing#scheduled-messages",
    async (queue) => {
      const due = inMs(SOON_MS);
      const [number] = await client.createSender(queue).scheduleMessages({ body: "later" }, due);
      const message = await receiveOne(client.createReceiver(queue));
      assert.ok(Date.now() >= due.getTime() - 50);
      assert.ok(message.sequenceNumber.greaterThan(number));
      assert.ok(message.enqueuedTimeUtc.getTime() >= due.getTime() - 50);
    },
  );

  behaviour(
    "A message is scheduled as well by the property of a message that is sent",
    "azure/service-bus-messaging/message-sequencing#scheduled-messages",
    async (queue) => {
      const scheduledEnqueueTimeUtc = inMs(SOON_MS);
      await client.createSender(queue).sendMessages([{ body: "later", scheduledEnqueueTimeUtc }, { body: "now" }]);
      const messages = await receiveAll(client.createReceiver(queue), 2);
      assert.deepEqual(bodies(messages), ["now", "later"]);
      assert.ok(Date.now() >= scheduledEnqueueTimeUtc.getTime() - 50);
    },
  );

  behaviour(
    "A time in the past is no reason to wait",
    "azure/service-bus-messaging/message-sequencing#scheduled-messages",
    async (queue) => {
      await client.createSender(queue).scheduleMessages({ body: "overdue" }, inMs(-60_000));
      assert.equal((await receiveOne(client.createReceiver(queue))).body, "overdue");
    },
  );

  behaviour(
    "A scheduled message can be cancelled before its time, which deletes it",
    "azure/service-bus-messaging/message-sequencing#scheduled-messages",
    async (queue) => {
      const sender = client.createSender(queue);
      const numbers = await sender.scheduleMessages([{ body: "cancelled" }, { body: "kept" }], inMs(600_000));
      assert.equal(numbers.length, 2);
      await sender.cancelScheduledMessages(numbers[0]);
      assert.deepEqual(await contents(client.createReceiver(queue)), ["kept"]);
    },
  );

  behaviour(
    "What is not scheduled cannot be cancelled: MessageNotFound",
    "azure/service-bus-messaging/service-bus-amqp-request-response#cancel-scheduled-message",
    async (queue) => {
      const cancelling = client.createSender(queue).cancelScheduledMessages(Long.fromNumber(4711));
      await assert.rejects(cancelling, { code: "MessageNotFound" });
    },
  );

  behaviour(
    "Browsing discovers a scheduled message under its sequence number, as scheduled",
    "azure/service-bus-messaging/message-sequencing#scheduled-messages",
    async (queue) => {
      const due = inMs(600_000);
      const [number] = await client.createSender(queue).scheduleMessages({ body: "later" }, due);
      const [message] = await client.createReceiver(queue).peekMessages(1);
      assert.equal(message.state, "scheduled");
      assert.ok(message.sequenceNumber.equals(number));
      assert.equal(message.scheduledEnqueueTimeUtc.getTime(), due.getTime());
    },
  );

  behaviour(
    "Messages scheduled for a topic reach every subscription when they are due",
    "azure/service-bus-messaging/message-sequencing#scheduled-messages",
    async () => {
      const due = inMs(SOON_MS);
      await client.createSender("scheduled-news").scheduleMessages({ body: "later" }, due);
      const receivers = ["first", "second"].map((name) => client.createReceiver("scheduled-news", name));
      const messages = await Promise.all(receivers.map(receiveOne));
      assert.deepEqual(bodies(messages), ["later", "later"]);
      assert.ok(messages.every(({ enqueuedTimeUtc }) => enqueuedTimeUtc.getTime() >= due.getTime() - 50));
    },
  );
});
