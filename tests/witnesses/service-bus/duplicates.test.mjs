import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { delay } from "../lib/waiting.mjs";
import { assertNothingComes, bodies, client, receiveAll, receiveOne } from "./namespace.mjs";

feature("Duplicate detection", () => {
  behaviour(
    "A message with an id that was seen is accepted and dropped",
    "azure/service-bus-messaging/duplicate-detection#how-it-works",
    async () => {
      const sender = client.createSender("unique");
      await sender.sendMessages({ body: "first", messageId: "same" });
      await sender.sendMessages({ body: "second", messageId: "same" });
      await sender.sendMessages({ body: "third", messageId: "other" });
      assert.deepEqual(bodies(await receiveAll(client.createReceiver("unique"), 2)), ["first", "third"]);
    },
  );

  behaviour(
    "An id stays known when its message has been completed",
    "azure/service-bus-messaging/duplicate-detection#how-it-works",
    async () => {
      const sender = client.createSender("unique-completed");
      const receiver = client.createReceiver("unique-completed");
      await sender.sendMessages({ body: "first", messageId: "same" });
      await receiver.completeMessage(await receiveOne(receiver));
      await sender.sendMessages({ body: "second", messageId: "same" });
      await assertNothingComes(receiver);
    },
  );

  behaviour(
    "Behind the window of detection an id is new again",
    "azure/service-bus-messaging/duplicate-detection#duplicate-detection-window-size",
    async () => {
      const sender = client.createSender("unique-shortly");
      await sender.sendMessages({ body: "first", messageId: "same" });
      await delay(2_500);
      await sender.sendMessages({ body: "second", messageId: "same" });
      assert.deepEqual(bodies(await receiveAll(client.createReceiver("unique-shortly"), 2)), ["first", "second"]);
    },
  );

  behaviour(
    "Duplicates in one batch are dropped too",
    "azure/service-bus-messaging/duplicate-detection#how-it-works",
    async () => {
      const messages = ["a", "b", "a"].map((messageId, body) => ({ body, messageId }));
      await client.createSender("unique-batch").sendMessages(messages);
      const receiver = client.createReceiver("unique-batch");
      assert.deepEqual(bodies(await receiveAll(receiver, 2)), [0, 1]);
      await assertNothingComes(receiver);
    },
  );

  behaviour(
    "Without duplicate detection ids may repeat",
    "azure/service-bus-messaging/duplicate-detection",
    async (queue) => {
      await client.createSender(queue).sendMessages([1, 2].map((body) => ({ body, messageId: "same" })));
      assert.deepEqual(bodies(await receiveAll(client.createReceiver(queue), 2)), [1, 2]);
    },
  );
});
