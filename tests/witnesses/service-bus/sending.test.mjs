import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { bodies, client, contents, receiveAll, receiveOne } from "./namespace.mjs";


async function sentAndReceived(queue, message) {
  await client.createSender(queue).sendMessages(message);
  return receiveOne(client.createReceiver(queue, { skipConvertingDate: true }));
}

feature("Sending", () => {
  behaviour(
    "The body is a payload that the service never touches: texts, objects, numbers and bytes come back as they were",
    "azure/service-bus-messaging/service-bus-messages-payloads#payload-serialization",
    async (queue) => {
      const sent = ["text", { nested: [1, { deep: true }] }, 4.5, null, Buffer.from([0, 1, 254, 255])];
      await client.createSender(queue).sendMessages(sent.map((body) => ({ body })));
      const received = bodies(await receiveAll(client.createReceiver(queue), sent.length));
      assert.deepEqual(received, sent);
    },
  );

  behaviour(
    "A body may be an AMQP value or sequence instead of bytes",
    "azure/service-bus-messaging/service-bus-amqp-protocol-guide#messages",
    async (queue) => {
      const value = new Map([["speed", 12]]);
      await client.createSender(queue).sendMessages([
        { body: Object.fromEntries(value), bodyType: "value" },
        { body: [[1, 2], ["three"]], bodyType: "sequence" },
      ]);
      const messages = await receiveAll(client.createReceiver(queue), 2);
      assert.deepEqual(messages[0].body, { speed: 12 });
      assert.equal(messages[0]._rawAmqpMessage.bodyType, "value");
      assert.deepEqual(messages[1].body, [[1, 2], ["three"]]);
      assert.equal(messages[1]._rawAmqpMessage.bodyType, "sequence");
    },
  );

  behaviour(
    "The properties that applications may set arrive unchanged",
    "azure/service-bus-messaging/service-bus-messages-payloads",
    async (queue) => {
      const properties = {
        contentType: "application/json",
        correlationId: "of-another",
        messageId: "mine",
        partitionKey: "key",
        replyTo: "answers",
        replyToSessionId: "conversation",
        sessionId: "key",
        subject: "greeting",
        to: "somewhere",
      };
      const { body, ...received } = await sentAndReceived(queue, { body: "hello", ...properties });
      for (const [name, value] of Object.entries(properties)) assert.equal(received[name], value, name);
    },
  );

  behaviour(
    "Identifiers of a message may be numbers and stay numbers",
    "azure/service-bus-messaging/service-bus-messages-payloads#message-routing-and-correlation",
    async (queue) => {
      const message = await sentAndReceived(queue, { body: "", messageId: 4711, correlationId: 42 });
      assert.equal(message.messageId, 4711);
      assert.equal(message.correlationId, 42);
    },
  );

  behaviour(
    "Application properties keep their types: text, whole and fractional number, flag, moment and null",
    "azure/service-bus-messaging/service-bus-messages-payloads",
    async (queue) => {
      const applicationProperties = {
        text: "käfer 🚗",
        whole: 2 ** 40,
        negative: -7,
        fraction: 0.125,
        yes: true,
        no: false,
        moment: new Date("2026-01-02T03:04:05.678Z"),
        nothing: null,
      };
      const message = await sentAndReceived(queue, { body: "", applicationProperties });
      assert.deepEqual(message.applicationProperties, applicationProperties);
    },
  );

  behaviour(
    "The messages of a batch enter together and in order",
    "azure/service-bus-messaging/service-bus-performance-improvements#batching-store-access",
    async (queue) => {
      const sender = client.createSender(queue);
      const batch = await sender.createMessageBatch();
      for (let number = 0; number < 20; number++) assert.ok(batch.tryAddMessage({ body: number }));
      await sender.sendMessages(batch);
      const messages = await receiveAll(client.createReceiver(queue), 20);
      assert.deepEqual(bodies(messages), [...Array(20).keys()]);
    },
  );

  behaviour(
    "A batch is full when its messages would be larger than the service takes, and is taken when full",
    "azure/service-bus-messaging/service-bus-quotas",
    async (queue) => {
      const sender = client.createSender(queue);
      const batch = await sender.createMessageBatch();
      const body = Buffer.alloc(100_000, 1);
      while (batch.tryAddMessage({ body }));
      assert.ok(batch.sizeInBytes <= batch.maxSizeInBytes);
      assert.ok(batch.sizeInBytes + body.length > batch.maxSizeInBytes);
      await sender.sendMessages(batch);
      const messages = await receiveAll(client.createReceiver(queue), batch.count);
      assert.ok(messages.every((message) => message.body.equals(body)));
    },
  );

  behaviour(
    "A message that is larger than the service takes is refused, and the next one is taken",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async (queue) => {
      const sender = client.createSender(queue);
      const { maxSizeInBytes } = await sender.createMessageBatch();
      const tooLarge = sender.sendMessages({ body: Buffer.alloc(maxSizeInBytes + 1) });
      await assert.rejects(tooLarge, { code: "MessageSizeExceeded" });
      await sender.sendMessages({ body: "small" });
      assert.equal((await receiveOne(client.createReceiver(queue))).body, "small");
    },
  );

  behaviour(
    "A message nearly as large as the service takes crosses in many frames and stays whole",
    "azure/service-bus-messaging/service-bus-quotas",
    async (queue) => {
      const body = Buffer.from(Array.from({ length: 900_000 }, (_, index) => index % 251));
      assert.ok((await sentAndReceived(queue, { body })).body.equals(body));
    },
  );

  behaviour(
    "Messages are numbered by a gap-free, increasing sequence number and stamped with the time of their arrival",
    "azure/service-bus-messaging/message-sequencing",
    async (queue) => {
      const sender = client.createSender(queue);
      const before = Date.now();
      await sender.sendMessages([{ body: 0 }, { body: 1 }]);
      await sender.sendMessages({ body: 2 });
      const messages = await receiveAll(client.createReceiver(queue), 3);
      const numbers = messages.map(({ sequenceNumber }) => sequenceNumber.toNumber());
      assert.deepEqual(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2]);
      for (const { enqueuedTimeUtc } of messages) {
        assert.ok(enqueuedTimeUtc.getTime() >= before - 1 && enqueuedTimeUtc.getTime() <= Date.now() + 1);
      }
    },
  );

  behaviour(
    "Sending to what does not exist fails with MessagingEntityNotFound",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async () => {
      const sending = client.createSender("no-such-queue").sendMessages({ body: "" });
      await assert.rejects(sending, { code: "MessagingEntityNotFound" });
    },
  );

  behaviour(
    "Receiving from what does not exist fails with MessagingEntityNotFound",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async () => {
      const receiving = client.createReceiver("no-such-queue").receiveMessages(1, { maxWaitTimeInMs: 1000 });
      await assert.rejects(receiving, { code: "MessagingEntityNotFound" });
    },
  );

  behaviour(
    "A queue that is disabled for senders takes nothing: MessagingEntityDisabled",
    "azure/service-bus-messaging/entity-suspend",
    async () => {
      const sending = client.createSender("no-entry").sendMessages({ body: "" });
      await assert.rejects(sending, { code: "MessagingEntityDisabled" });
      assert.deepEqual(await contents(client.createReceiver("no-entry")), []);
    },
  );

  behaviour(
    "A queue that is disabled for receivers takes messages and gives none: MessagingEntityDisabled",
    "azure/service-bus-messaging/entity-suspend",
    async () => {
      await client.createSender("no-exit").sendMessages({ body: "" });
      const receiving = client.createReceiver("no-exit").receiveMessages(1, { maxWaitTimeInMs: 1_000 });
      await assert.rejects(receiving, { code: "MessagingEntityDisabled" });
    },
  );

  behaviour(
    "An entity is found by its name in any case of letters",
    "azure/azure-resource-manager/management/resource-name-rules#microsoftservicebus",
    async (queue) => {
      await client.createSender(queue.toUpperCase()).sendMessages({ body: "found" });
      assert.equal((await receiveOne(client.createReceiver(queue))).body, "found");
    },
  );
});
