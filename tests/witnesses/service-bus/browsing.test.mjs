import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { bodies, client, deadLettersOf, receiveAll, receiveOne } from "./namespace.mjs";

async function sent(queue, ...contents) {
  await client.createSender(queue).sendMessages(contents.map((body) => ({ body })));
  return client.createReceiver(queue);
}

feature("Browsing", () => {
  behaviour(
    "Browsing shows messages in the order of their sequence numbers and takes nothing away",
    "azure/service-bus-messaging/message-browsing",
    async (queue) => {
      const receiver = await sent(queue, 1, 2, 3);
      const peeked = await receiver.peekMessages(10);
      assert.deepEqual(bodies(peeked), [1, 2, 3]);
      assert.ok(peeked.every(({ lockToken, state }) => lockToken === undefined && state === "active"));
      const received = await receiveAll(receiver, 3);
      assert.deepEqual(received.map(({ deliveryCount }) => deliveryCount), [0, 0, 0]);
    },
  );

  behaviour(
    "Browsing again goes on behind what was shown last",
    "azure/service-bus-messaging/message-browsing",
    async (queue) => {
      const receiver = await sent(queue, 1, 2, 3);
      assert.deepEqual(bodies(await receiver.peekMessages(2)), [1, 2]);
      assert.deepEqual(bodies(await receiver.peekMessages(2)), [3]);
      assert.deepEqual(bodies(await receiver.peekMessages(2)), []);
    },
  );

  behaviour(
    "Browsing may start at a sequence number",
    "azure/service-bus-messaging/message-browsing",
    async (queue) => {
      const receiver = await sent(queue, 1, 2, 3);
      const [first] = await receiver.peekMessages(1);
      const fromSequenceNumber = first.sequenceNumber.add(1);
      assert.deepEqual(bodies(await receiver.peekMessages(10, { fromSequenceNumber })), [2, 3]);
    },
  );

  behaviour(
    "Browsing shows messages that other receivers have locked",
    "azure/service-bus-messaging/message-browsing",
    async (queue) => {
      const receiver = await sent(queue, "locked");
      await receiveOne(receiver);
      assert.deepEqual(bodies(await client.createReceiver(queue).peekMessages(1)), ["locked"]);
    },
  );

  behaviour(
    "Browsing an empty queue shows nothing and does not wait",
    "azure/service-bus-messaging/message-browsing",
    async (queue) => {
      const began = Date.now();
      assert.deepEqual(await client.createReceiver(queue).peekMessages(5), []);
      assert.ok(Date.now() - began < 15_000);
    },
  );

  behaviour(
    "The dead-letter queue can be browsed too",
    "azure/service-bus-messaging/message-browsing",
    async (queue) => {
      const receiver = await sent(queue, "dead");
      await receiver.deadLetterMessage(await receiveOne(receiver));
      assert.deepEqual(bodies(await deadLettersOf(queue).peekMessages(5)), ["dead"]);
    },
  );
});
