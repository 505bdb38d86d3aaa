import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { delay, eventually } from "../lib/waiting.mjs";
import { assertNothingComes, client, contents, deadLettersOf, receiveOne } from "./namespace.mjs";

const SHORT_MS = 1_000;

const send = (queue, body, timeToLive) => client.createSender(queue).sendMessages({ body, timeToLive });

/** Sends a message that soon expires to a receiver that is open already, and receives it. */
async function receivedInTime(queue, body) {
  const sender = client.createSender(queue);
  const receiver = client.createReceiver(queue);
  await sender.sendMessages({ body: "opens both" });
  await receiver.completeMessage(await receiveOne(receiver));
  await sender.sendMessages({ body, timeToLive: 2 * SHORT_MS });
  return [receiver, await receiveOne(receiver)];
}

feature("Expiry", () => {
  behaviour(
    "A message that outlives its time to live is no longer delivered, and dropped",
    "azure/service-bus-messaging/message-expiration",
    async (queue) => {
      await send(queue, "short-lived", SHORT_MS);
      await delay(SHORT_MS + 200);
      const receiver = client.createReceiver(queue);
      await assertNothingComes(receiver);
      assert.deepEqual(await contents(deadLettersOf(queue)), []);
    },
  );

  behaviour(
    "A message says when it expires: its time to live after it was enqueued",
    "azure/service-bus-messaging/message-expiration",
    async (queue) => {
      await send(queue, "", 600_000);
      const message = await receiveOne(client.createReceiver(queue));
      assert.equal(message.timeToLive, 600_000);
      assert.equal(message.expiresAtUtc.getTime() - message.enqueuedTimeUtc.getTime(), 600_000);
    },
  );

  behaviour(
    "Where the queue asks for it, an expired message goes to the dead-letter queue as TTLExpiredException",
    "azure/service-bus-messaging/service-bus-dead-letter-queues#time-to-live",
    async () => {
      await send("expiring-to-dead-letters", "expired", SHORT_MS);
      const dead = await receiveOne(deadLettersOf("expiring-to-dead-letters"));
      assert.equal(dead.deadLetterReason, "TTLExpiredException");
    },
  );

  behaviour(
    "The queue's default time to live holds for messages without one",
    "azure/service-bus-messaging/message-expiration#entity-level-expiration",
    async () => {
      await send("expiring-by-default", "no time of its own");
      const dead = await receiveOne(deadLettersOf("expiring-by-default"));
      assert.equal(dead.body, "no time of its own");
    },
  );

  behaviour(
    "The queue's default time to live is a ceiling for that of messages",
    "azure/service-bus-messaging/message-expiration#entity-level-expiration",
    async () => {
      await send("expiring-at-ceiling", "too long", 3_600_000);
      const dead = await receiveOne(deadLettersOf("expiring-at-ceiling"));
      assert.equal(dead.body, "too long");
    },
  );

  behaviour(
    "Expiry does not touch a message under lock: it can still be completed",
    "azure/service-bus-messaging/message-expiration",
    async (queue) => {
      const [receiver, message] = await receivedInTime(queue, "in time");
      await delay(2 * SHORT_MS + 200);
      await receiver.completeMessage(message);
    },
  );

  behaviour(
    "When a message that has expired under lock is abandoned, expiry takes immediate effect",
    "azure/service-bus-messaging/message-expiration",
    async (queue) => {
      const [receiver, message] = await receivedInTime(queue, "too late");
      await delay(2 * SHORT_MS + 200);
      await receiver.abandonMessage(message);
      await assertNothingComes(receiver);
    },
  );

  behaviour(
    "Time to live is not observed in the dead-letter queue",
    "azure/service-bus-messaging/service-bus-dead-letter-queues#the-dead-letter-queue",
    async (queue) => {
      const [receiver, message] = await receivedInTime(queue, "kept");
      await receiver.deadLetterMessage(message);
      await delay(2 * SHORT_MS + 200);
      assert.equal((await receiveOne(deadLettersOf(queue))).body, "kept");
    },
  );

  behaviour(
    "A deferred message is not expired by itself",
    "azure/service-bus-messaging/service-bus-dead-letter-queues#time-to-live",
    async (queue) => {
      const [receiver, message] = await receivedInTime(queue, "set aside");
      await receiver.deferMessage(message);
      await delay(2 * SHORT_MS + 200);
      await eventually(async () => (await contents(client.createReceiver(queue))).length === 1);
    },
  );

  behaviour(
    "A deferred message that has expired goes to the dead-letter queue when it is asked for, if the queue wants it",
    "azure/service-bus-messaging/message-deferral",
    async () => {
      const queue = "expiring-deferred";
      const [receiver, message] = await receivedInTime(queue, "asked for too late");
      await receiver.deferMessage(message);
      await delay(2 * SHORT_MS + 200);
      assert.deepEqual(await contents(deadLettersOf(queue)), []);
      await assert.rejects(receiver.receiveDeferredMessages(message.sequenceNumber), { code: "MessageNotFound" });
      assert.equal((await receiveOne(deadLettersOf(queue))).deadLetterReason, "TTLExpiredException");
    },
  );
});
