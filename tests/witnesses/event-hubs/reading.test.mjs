import assert from "node:assert/strict";
import { earliestEventPosition, latestEventPosition } from "@azure/event-hubs";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { delay, eventually } from "../lib/waiting.mjs";
import { bodies, follow, read, sendTo } from "./namespace.mjs";

/** Sends events 0 to 4 to partition 0 and reads them. */
async function five(hub) {
  await sendTo(hub, "0", 0, 1, 2, 3, 4);
  return read(hub, 5);
}

feature("Reading", () => {
  behaviour(
    "Reading from the earliest position gives all that is kept, to everyone who reads",
    "azure/event-hubs/event-hubs-features#read-events",
    async (hub) => {
      assert.deepEqual(bodies(await five(hub)), [0, 1, 2, 3, 4]);
      assert.deepEqual(bodies(await read(hub, 5)), [0, 1, 2, 3, 4]);
    },
  );

  behaviour(
    "Reading from the latest position gives only what comes later",
    "azure/event-hubs/event-hubs-features#stream-offsets",
    async (hub) => {
      await sendTo(hub, "0", "old");
      const reading = follow(hub, { startPosition: latestEventPosition });
      await eventually(() => reading.batches.length > 0); // an empty one: it reads already
      await sendTo(hub, "0", "new");
      assert.deepEqual(bodies(await reading.events(1)), ["new"]);
    },
  );

  behaviour(
    "Reading begins behind an offset, or at it if that is wanted",
    "azure/event-hubs/event-hubs-features#stream-offsets",
    async (hub) => {
      const { offset } = (await five(hub))[2];
      assert.deepEqual(bodies(await read(hub, 2, { startPosition: { offset } })), [3, 4]);
      assert.deepEqual(bodies(await read(hub, 3, { startPosition: { offset, isInclusive: true } })), [2, 3, 4]);
    },
  );

  behaviour(
    "Reading begins behind a sequence number, or at it if that is wanted",
    "azure/event-hubs/event-hubs-features#stream-offsets",
    async (hub) => {
      const { sequenceNumber } = (await five(hub))[2];
      assert.deepEqual(bodies(await read(hub, 2, { startPosition: { sequenceNumber } })), [3, 4]);
      const inclusive = { sequenceNumber, isInclusive: true };
      assert.deepEqual(bodies(await read(hub, 3, { startPosition: inclusive })), [2, 3, 4]);
    },
  );

  behaviour(
    "Reading begins with what was enqueued after a moment",
    "azure/event-hubs/event-hubs-features#stream-offsets",
    async (hub) => {
      await sendTo(hub, "0", "before");
      await delay(50);
      const enqueuedOn = new Date();
      await delay(50);
      await sendTo(hub, "0", "after");
      assert.deepEqual(bodies(await read(hub, 1, { startPosition: { enqueuedOn } })), ["after"]);
    },
  );

  behaviour(
    "Each partition may have a starting position of its own",
    "javascript/api/@azure/event-hubs/subscribeoptions",
    async (hub) => {
      await sendTo(hub, "0", "a", "b");
      await sendTo(hub, "1", "c", "d");
      const [{ sequenceNumber }] = await read(hub, 2);
      const startPosition = { 0: { sequenceNumber }, 1: earliestEventPosition };
      const events = await follow(hub, { partitionId: null, startPosition }).events(3);
      assert.deepEqual(bodies(events).sort(), ["b", "c", "d"]);
    },
  );

  behaviour(
    "Without a partition a consumer reads all of them, each in order",
    "azure/event-hubs/event-hubs-features#event-consumers",
    async (hub) => {
      await sendTo(hub, "0", 0, 2, 4);
      await sendTo(hub, "1", 1, 3, 5);
      const all = bodies(await follow(hub, { partitionId: null }).events(6));
      assert.deepEqual(all.filter((body) => body % 2 === 0), [0, 2, 4]);
      assert.deepEqual(all.filter((body) => body % 2 === 1), [1, 3, 5]);
    },
  );

  behaviour(
    "Every consumer group has a view of its own of the whole stream",
    "azure/event-hubs/event-hubs-features#consumer-groups",
    async () => {
      await sendTo("grouped", "0", "for both");
      const groups = [undefined, "second"].map((group) => read("grouped", 1, { group }));
      assert.deepEqual((await Promise.all(groups)).map(bodies), [["for both"], ["for both"]]);
    },
  );

  behaviour(
    "A consumer group that does not exist is answered by MessagingEntityNotFoundError",
    "azure/event-hubs/event-hubs-messaging-exceptions",
    async (hub) => {
      const { failure } = follow(hub, { group: "no-such-group" });
      assert.equal((await failure()).code, "MessagingEntityNotFoundError");
    },
  );

  behaviour(
    "A partition that does not exist is answered by ArgumentOutOfRangeError",
    "azure/event-hubs/event-hubs-messaging-exceptions",
    async (hub) => {
      const { failure } = follow(hub, { partitionId: "7" });
      assert.equal((await failure()).code, "ArgumentOutOfRangeError");
    },
  );

  behaviour(
    "Not more events come at once than asked for",
    "javascript/api/@azure/event-hubs/subscribeoptions",
    async (hub) => {
      await five(hub);
      const reading = follow(hub, { maxBatchSize: 2 });
      await reading.events(5);
      assert.ok(reading.batches.every(({ length }) => length <= 2));
      assert.deepEqual(bodies(reading.batches.flat()), [0, 1, 2, 3, 4]);
    },
  );

  behaviour(
    "When asked for, events come with number, offset and time of the partition's last event",
    "javascript/api/@azure/event-hubs/lastenqueuedeventproperties",
    async (hub) => {
      const last = (await five(hub)).at(-1);
      const reading = follow(hub, { trackLastEnqueuedEventProperties: true, maxBatchSize: 1 });
      await reading.events(1);
      const { sequenceNumber, offset, enqueuedOn, retrievedOn } = reading.contexts[0].lastEnqueuedEventProperties;
      assert.equal(sequenceNumber, last.sequenceNumber);
      assert.equal(offset, last.offset);
      assert.equal(enqueuedOn.getTime(), last.enqueuedTimeUtc.getTime());
      assert.ok(retrievedOn.getTime() >= enqueuedOn.getTime());
    },
  );

  behaviour(
    "What is sent while a consumer reads comes without asking again",
    "azure/event-hubs/event-hubs-features#event-consumers",
    async (hub) => {
      const reading = follow(hub);
      for (let body = 0; body < 3; body++) {
        await sendTo(hub, "0", body);
        assert.equal((await reading.events(body + 1)).at(-1).body, body);
      }
    },
  );

  behaviour(
    "A consumer that has stopped gets nothing more",
    "javascript/api/@azure/event-hubs/subscription",
    async (hub) => {
      const reading = follow(hub);
      await sendTo(hub, "0", "first");
      await reading.events(1);
      await reading.subscription.close();
      await sendTo(hub, "0", "second");
      assert.deepEqual(bodies(await read(hub, 2)), ["first", "second"]);
      assert.deepEqual(bodies(reading.batches.flat()), ["first"]);
    },
  );
});
