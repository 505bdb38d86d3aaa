import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { consumerOf, producerOf, read, sendTo } from "./namespace.mjs";

feature("Properties", () => {
  behaviour(
    "An event hub tells its name, the time of its creation and its partitions",
    "javascript/api/@azure/event-hubs/eventhubproperties",
    async (hub) => {
      const properties = await consumerOf(hub).getEventHubProperties();
      assert.equal(properties.name, hub);
      assert.deepEqual(properties.partitionIds, ["0", "1"]);
      const ageMs = Date.now() - properties.createdOn.getTime();
      assert.ok(ageMs >= 0 && ageMs < 3_600_000, `${ageMs}`);
      assert.deepEqual(await producerOf(hub).getPartitionIds(), ["0", "1"]);
    },
  );

  behaviour(
    "A partition that has had no event is empty",
    "javascript/api/@azure/event-hubs/partitionproperties",
    async (hub) => {
      const properties = await consumerOf(hub).getPartitionProperties("1");
      assert.equal(properties.eventHubName, hub);
      assert.equal(properties.partitionId, "1");
      assert.equal(properties.isEmpty, true);
      assert.equal(properties.lastEnqueuedSequenceNumber, -1);
      assert.equal(properties.lastEnqueuedOffset, "-1");
    },
  );

  behaviour(
    "A partition tells its first sequence number, and number, offset and time of its last event",
    "javascript/api/@azure/event-hubs/partitionproperties",
    async (hub) => {
      await sendTo(hub, "0", "a", "b", "c");
      const [first, , last] = await read(hub, 3);
      const properties = await consumerOf(hub).getPartitionProperties("0");
      assert.equal(properties.isEmpty, false);
      assert.equal(properties.beginningSequenceNumber, first.sequenceNumber);
      assert.equal(properties.lastEnqueuedSequenceNumber, last.sequenceNumber);
      assert.equal(properties.lastEnqueuedOffset, last.offset);
      assert.equal(properties.lastEnqueuedOnUtc.getTime(), last.enqueuedTimeUtc.getTime());
    },
  );

  behaviour(
    "A partition that does not exist has no properties: ArgumentOutOfRangeError",
    "azure/event-hubs/event-hubs-messaging-exceptions",
    async (hub) => {
      await assert.rejects(consumerOf(hub).getPartitionProperties("7"), { code: "ArgumentOutOfRangeError" });
    },
  );

  behaviour(
    "An event hub that does not exist has no properties: MessagingEntityNotFoundError",
    "azure/event-hubs/event-hubs-messaging-exceptions",
    async () => {
      const asking = consumerOf("no-such-hub").getEventHubProperties();
      await assert.rejects(asking, { code: "MessagingEntityNotFoundError" });
    },
  );
});
