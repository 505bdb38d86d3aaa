import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { eventually } from "../lib/waiting.mjs";
import { bodies, follow, sendTo } from "./namespace.mjs";

/** A consumer that reads already. */
async function reader(hub, options) {
  const reading = follow(hub, options);
  await eventually(() => reading.batches.length > 0);
  return reading;
}

feature("Owning a partition", () => {
  behaviour(
    "A consumer with a higher owner level disconnects the one with a lower: ReceiverDisconnectedError",
    "azure/event-hubs/event-hubs-event-processor-host#epoch",
    async (hub) => {
      const lower = await reader(hub, { ownerLevel: 1 });
      const higher = await reader(hub, { ownerLevel: 2 });
      assert.equal((await lower.failure()).code, "ReceiverDisconnectedError");
      await sendTo(hub, "0", "mine");
      assert.deepEqual(bodies(await higher.events(1)), ["mine"]);
    },
  );

  behaviour(
    "A consumer with the same owner level takes over from the older one",
    "azure/event-hubs/event-hubs-event-processor-host#epoch",
    async (hub) => {
      const older = await reader(hub, { ownerLevel: 3 });
      await reader(hub, { ownerLevel: 3 });
      assert.equal((await older.failure()).code, "ReceiverDisconnectedError");
    },
  );

  behaviour(
    "A consumer with a lower owner level is refused",
    "azure/event-hubs/event-hubs-event-processor-host#epoch",
    async (hub) => {
      await reader(hub, { ownerLevel: 2 });
      const lower = follow(hub, { ownerLevel: 1 });
      assert.equal((await lower.failure()).code, "ReceiverDisconnectedError");
    },
  );

  behaviour(
    "A consumer without owner level is refused while one with a level reads",
    "azure/event-hubs/event-hubs-event-processor-host#no-epoch",
    async (hub) => {
      await reader(hub, { ownerLevel: 1 });
      const without = follow(hub);
      assert.equal((await without.failure()).code, "ReceiverDisconnectedError");
    },
  );

  behaviour(
    "A consumer with an owner level disconnects those without",
    "azure/event-hubs/event-hubs-event-processor-host#epoch",
    async (hub) => {
      const without = await reader(hub);
      await reader(hub, { ownerLevel: 1 });
      assert.equal((await without.failure()).code, "ReceiverDisconnectedError");
    },
  );

  behaviour(
    "An owner level counts for one partition and one consumer group",
    "azure/event-hubs/event-hubs-event-processor-host#epoch",
    async () => {
      const owner = await reader("owned", { ownerLevel: 5 });
      const others = [
        await reader("owned", { ownerLevel: 1, partitionId: "1" }),
        await reader("owned", { ownerLevel: 1, group: "second" }),
      ];
      await sendTo("owned", "0", "zero");
      await sendTo("owned", "1", "one");
      assert.deepEqual(bodies(await owner.events(1)), ["zero"]);
      assert.deepEqual((await Promise.all(others.map((other) => other.events(1)))).map(bodies), [["one"], ["zero"]]);
    },
  );

  behaviour(
    "At most five consumers without owner level read a partition in one consumer group: QuotaExceededError",
    "azure/event-hubs/event-hubs-features#consumer-groups",
    async (hub) => {
      await Promise.all(Array.from({ length: 5 }, () => reader(hub)));
      const sixth = follow(hub);
      assert.equal((await sixth.failure()).code, "QuotaExceededError");
    },
  );
});
