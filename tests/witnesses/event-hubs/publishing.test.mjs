import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { bodies, bufferedProducerOf, follow, producerOf, read, sendTo } from "./namespace.mjs";

const PARTITIONS = ["0", "1"];

/** How many events a partition has. */
async function lengthOf(producer, partitionId) {
  const properties = await producer.getPartitionProperties(partitionId);
  return properties.isEmpty ? 0 : properties.lastEnqueuedSequenceNumber - properties.beginningSequenceNumber + 1;
}

feature("Publishing", () => {
  behaviour(
    "The events of a batch come in order in the partition that it was sent to",
    "azure/event-hubs/event-hubs-features#partitions",
    async (hub) => {
      const producer = producerOf(hub);
      const batch = await producer.createBatch({ partitionId: "1" });
      for (let number = 0; number < 20; number++) assert.ok(batch.tryAdd({ body: number }));
      await producer.sendBatch(batch);
      const events = await read(hub, 20, { partitionId: "1" });
      assert.deepEqual(bodies(events), [...Array(20).keys()]);
    },
  );

  behaviour(
    "Events with the same partition key come in order in the same partition and carry the key",
    "azure/event-hubs/event-hubs-features#partition-key",
    async (hub) => {
      const producer = producerOf(hub);
      for (let body = 0; body < 5; body++) await producer.sendBatch([{ body }], { partitionKey: "car-7" });
      const reading = follow(hub, { partitionId: null });
      const events = await reading.events(5);
      assert.deepEqual(bodies(events), [0, 1, 2, 3, 4]);
      assert.ok(events.every(({ partitionKey }) => partitionKey === "car-7"));
      const used = reading.contexts.filter((_, index) => reading.batches[index].length > 0);
      assert.equal(new Set(used.map(({ partitionId }) => partitionId)).size, 1);
    },
  );

  behaviour(
    "A partition key leads to the partition that the SDK's buffered producer works out for it",
    "azure/event-hubs/event-hubs-features#partition-key",
    async (hub) => {
      const keys = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "äöü", "7"];
      const workedOut = new Map();
      const buffered = bufferedProducerOf(hub, {
        maxWaitTimeInMs: 100,
        onSendEventsSuccessHandler: ({ events, partitionId }) => {
          for (const { body } of events) workedOut.set(body, partitionId);
        },
        onSendEventsErrorHandler: ({ error }) => workedOut.set("error", error),
      });
      for (const key of keys) await buffered.enqueueEvent({ body: key }, { partitionKey: key });
      await buffered.flush();
      assert.equal(workedOut.size, keys.length);

      const producer = producerOf(hub);
      for (const key of keys) await producer.sendBatch([{ body: "by the service" }], { partitionKey: key });
      const chosen = new Map();
      for (const partitionId of PARTITIONS) {
        const length = await lengthOf(producer, partitionId);
        for (const { body, partitionKey } of await read(hub, length, { partitionId })) {
          if (body === "by the service") chosen.set(partitionKey, partitionId);
        }
      }
      assert.deepEqual([...chosen].sort(), [...workedOut].sort());
    },
  );

  behaviour(
    "Events without partition and key are spread over all partitions in turn",
    "azure/event-hubs/event-hubs-features#partition-key",
    async (hub) => {
      const producer = producerOf(hub);
      for (let body = 0; body < 8; body++) await producer.sendBatch([{ body }]);
      assert.deepEqual(await Promise.all(PARTITIONS.map((id) => lengthOf(producer, id))), [4, 4]);
    },
  );

  behaviour(
    "The body is bytes to the service: texts, objects, numbers and bytes come back as they were",
    "azure/event-hubs/event-hubs-features#publishing-an-event",
    async (hub) => {
      const sent = ["text 🚗", { nested: [1, { deep: null }] }, 4.5, true, Buffer.from([0, 1, 254, 255])];
      await sendTo(hub, "0", ...sent);
      assert.deepEqual(bodies(await read(hub, sent.length)), sent);
    },
  );

  behaviour(
    "The body of an event may be an AMQP value or sequence",
    "javascript/api/@azure/event-hubs/eventhubproducerclient",
    async (hub) => {
      const messages = [
        { bodyType: "value", body: { speed: 12 } },
        { bodyType: "sequence", body: [[1, 2], ["three"]] },
      ];
      await producerOf(hub).sendBatch(messages, { partitionId: "0" });
      const events = await read(hub, 2);
      assert.deepEqual(bodies(events), [{ speed: 12 }, [[1, 2], ["three"]]]);
      assert.deepEqual(events.map((event) => event.getRawAmqpMessage().bodyType), ["value", "sequence"]);
    },
  );

  behaviour(
    "An event carries properties of its own and of AMQP",
    "azure/event-hubs/event-hubs-features#read-events",
    async (hub) => {
      const event = {
        body: "",
        contentType: "application/json",
        correlationId: "of-another",
        messageId: "mine",
        properties: { text: "käfer", whole: 2 ** 40, fraction: 0.125, yes: true },
      };
      await producerOf(hub).sendBatch([event], { partitionId: "0" });
      const [received] = await read(hub, 1);
      for (const name of ["contentType", "correlationId", "messageId", "properties"]) {
        assert.deepEqual(received[name], event[name], name);
      }
    },
  );

  behaviour(
    "An event has a sequence number, an offset and the time at which it was enqueued",
    "azure/event-hubs/event-hubs-features#read-events",
    async (hub) => {
      const before = Date.now();
      await sendTo(hub, "0", "a", "b", "c");
      const events = await read(hub, 3);
      const first = events[0].sequenceNumber;
      assert.deepEqual(events.map(({ sequenceNumber }) => sequenceNumber - first), [0, 1, 2]);
      assert.ok(events.every(({ offset }) => typeof offset === "string"));
      const offsets = events.map(({ offset }) => BigInt(offset));
      assert.ok(offsets[0] < offsets[1] && offsets[1] < offsets[2], `${offsets}`);
      for (const { enqueuedTimeUtc } of events) {
        assert.ok(enqueuedTimeUtc.getTime() >= before - 1 && enqueuedTimeUtc.getTime() <= Date.now() + 1);
      }
    },
  );

  behaviour(
    "A batch is full when its events would be larger than the service takes, and is taken when full",
    "azure/event-hubs/event-hubs-quotas",
    async (hub) => {
      const producer = producerOf(hub);
      const batch = await producer.createBatch({ partitionId: "0" });
      const body = Buffer.alloc(100_000, 1);
      while (batch.tryAdd({ body }));
      assert.ok(batch.sizeInBytes <= batch.maxSizeInBytes);
      await producer.sendBatch(batch);
      const events = await read(hub, batch.count);
      assert.ok(events.every((event) => event.body.equals(body)));
    },
  );

  behaviour(
    "A publication that is larger than the service takes is refused, and the next one is taken",
    "azure/event-hubs/event-hubs-features#publishing-an-event",
    async (hub) => {
      const producer = producerOf(hub);
      const { maxSizeInBytes } = await producer.createBatch();
      const tooLarge = producer.sendBatch([{ body: Buffer.alloc(maxSizeInBytes + 1) }], { partitionId: "0" });
      await assert.rejects(tooLarge, { code: "MessageTooLargeError" });
      await producer.sendBatch([{ body: "small" }], { partitionId: "0" });
      assert.deepEqual(bodies(await read(hub, 1)), ["small"]);
    },
  );

  behaviour(
    "Sending to a partition that does not exist fails with ArgumentOutOfRangeError",
    "azure/event-hubs/event-hubs-messaging-exceptions",
    async (hub) => {
      const sending = producerOf(hub).sendBatch([{ body: "" }], { partitionId: "7" });
      await assert.rejects(sending, { code: "ArgumentOutOfRangeError" });
    },
  );

  behaviour(
    "Sending to an event hub that does not exist fails with MessagingEntityNotFoundError",
    "azure/event-hubs/event-hubs-messaging-exceptions",
    async () => {
      const sending = producerOf("no-such-hub").sendBatch([{ body: "" }]);
      await assert.rejects(sending, { code: "MessagingEntityNotFoundError" });
    },
  );

  behaviour(
    "The buffered producer sends what was enqueued and says where it went",
    "javascript/api/@azure/event-hubs/eventhubbufferedproducerclient",
    async (hub) => {
      const sent = [];
      const producer = bufferedProducerOf(hub, {
        onSendEventsSuccessHandler: (context) => sent.push(context),
        onSendEventsErrorHandler: ({ error }) => sent.push(error),
      });
      await producer.enqueueEvents([{ body: 1 }, { body: 2 }], { partitionId: "1" });
      await producer.flush();
      assert.deepEqual(bodies(await read(hub, 2, { partitionId: "1" })), [1, 2]);
      assert.deepEqual(sent.map(({ partitionId, events }) => [partitionId, events.length]), [["1", 2]]);
    },
  );
});
