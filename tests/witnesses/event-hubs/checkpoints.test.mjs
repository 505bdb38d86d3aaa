import assert from "node:assert/strict";
import { earliestEventPosition } from "@azure/event-hubs";
import { BlobCheckpointStore } from "@azure/eventhubs-checkpointstore-blob";
import { ContainerClient } from "@azure/storage-blob";
import { behaviour, feature, required } from "../lib/behaviour.mjs";
import { eventually } from "../lib/waiting.mjs";
import { consumerOf, DEFAULT_GROUP, producerOf, sendTo } from "./namespace.mjs";

const BALANCING = {
  strategy: "greedy",
  updateIntervalInMs: 500,
  partitionOwnershipExpirationIntervalInMs: 5_000,
};

async function storeIn(container) {
  const client = new ContainerClient(required("STORAGE"), container);
  await client.createIfNotExists();
  return new BlobCheckpointStore(client);
}

/** A member of a group of consumers that share the work and their progress. */
function worker(hub, store) {
  const seen = [];
  const owned = new Set();
  const reasons = [];
  const client = consumerOf(hub, { store, loadBalancingOptions: BALANCING });
  const handlers = {
    processInitialize: async ({ partitionId }) => void owned.add(partitionId),
    processEvents: async (events, context) => {
      if (events.length === 0) return;
      seen.push(...events.map(({ body }) => body));
      await context.updateCheckpoint(events.at(-1));
    },
    processClose: async (reason, { partitionId }) => {
      owned.delete(partitionId);
      reasons.push(reason);
    },
    processError: async () => {}, // that another has taken a partition, for example: balancing goes on
  };
  const settings = { startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 };
  return { client, subscription: client.subscribe(handlers, settings), seen, owned, reasons };
}

/** The checkpoint of a partition as soon as it is at the last event. */
async function checkpointAtEnd(store, client, partitionId) {
  const { lastEnqueuedSequenceNumber } = await client.getPartitionProperties(partitionId);
  return eventually(async () => {
    const found = await store.listCheckpoints(client.fullyQualifiedNamespace, client.eventHubName, DEFAULT_GROUP);
    const isHere = (one) => one.partitionId === partitionId && one.sequenceNumber === lastEnqueuedSequenceNumber;
    return found.find(isHere);
  });
}

feature("Checkpoints", () => {
  behaviour(
    "A consumer begins at the last checkpoint of its group, not at the starting position",
    "azure/event-hubs/event-processor-balance-partition-load#checkpoint",
    async (hub) => {
      const store = await storeIn(hub);
      await sendTo(hub, "0", 1, 2, 3);
      const first = worker(hub, store);
      await checkpointAtEnd(store, first.client, "0");
      await first.subscription.close();
      assert.deepEqual(first.seen, [1, 2, 3]);
      await sendTo(hub, "0", 4, 5);
      const second = worker(hub, store);
      await eventually(() => second.seen.length >= 2);
      assert.deepEqual(second.seen, [4, 5]);
    },
  );

  behaviour(
    "A checkpoint keeps offset and sequence number of the event",
    "azure/event-hubs/event-processor-balance-partition-load#checkpoint",
    async (hub) => {
      const store = await storeIn(hub);
      await sendTo(hub, "1", "a", "b");
      const { client } = worker(hub, store);
      const { offset } = await checkpointAtEnd(store, client, "1");
      const { lastEnqueuedOffset } = await client.getPartitionProperties("1");
      assert.equal(String(offset), lastEnqueuedOffset);
    },
  );

  behaviour(
    "Consumers of one group share the partitions evenly, and together read every event",
    "azure/event-hubs/event-processor-balance-partition-load#partition-ownership",
    async () => {
      const store = await storeIn("shared");
      const workers = [worker("shared", store), worker("shared", store)];
      const [{ client }] = workers;
      await eventually(async () => {
        const ownerships = await store.listOwnership(client.fullyQualifiedNamespace, "shared", DEFAULT_GROUP);
        const owners = ownerships.map(({ ownerId }) => ownerId);
        const shares = [...new Set(owners)].map((owner) => owners.filter((other) => other === owner).length);
        return shares.join() === "2,2";
      }, 30_000);
      const producer = producerOf("shared");
      const sent = ["0", "1", "2", "3"];
      for (const partitionId of sent) await producer.sendBatch([{ body: partitionId }], { partitionId });
      const seen = () => [...new Set(workers.flatMap((one) => one.seen))].sort(); // at least once is what is promised
      await eventually(() => seen().length === sent.length);
      assert.deepEqual(seen(), sent);
    },
  );

  behaviour(
    "When a consumer stops, another takes over its partitions and goes on at its checkpoints",
    "azure/event-hubs/event-processor-balance-partition-load#consumer-application",
    async (hub) => {
      const store = await storeIn(hub);
      const leaving = worker(hub, store);
      await eventually(() => leaving.owned.size === 2);
      await sendTo(hub, "0", "first");
      await checkpointAtEnd(store, leaving.client, "0");
      await leaving.subscription.close();
      assert.deepEqual(leaving.reasons, ["Shutdown", "Shutdown"]);
      const staying = worker(hub, store);
      await eventually(() => staying.owned.size === 2);
      await sendTo(hub, "0", "second");
      await eventually(() => staying.seen.length >= 1);
      assert.deepEqual(staying.seen, ["second"]);
    },
  );
});
