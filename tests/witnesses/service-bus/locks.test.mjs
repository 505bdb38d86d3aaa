import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { delay, eventually } from "../lib/waiting.mjs";
import { client, contents, receiveOne } from "./namespace.mjs";

// Of the queues `short-lock-…` in entities.toml.
const LOCK_MS = 5_000;

async function locked(queue, body) {
  await client.createSender(queue).sendMessages({ body });
  // Unless told otherwise the SDK renews every lock by itself.
  const receiver = client.createReceiver(queue, { maxAutoLockRenewalDurationInMs: 0 });
  return [receiver, await receiveOne(receiver)];
}

const expiryOf = ({ lockedUntilUtc }) => delay(lockedUntilUtc.getTime() - Date.now() + 300);

feature("Locks", () => {
  behaviour(
    "The lock lasts as long as the queue says, and the message says until when",
    "azure/service-bus-messaging/message-transfers-locks-settlement#peeklock",
    async (queue) => {
      const [, message] = await locked(queue, "");
      const remainingMs = message.lockedUntilUtc.getTime() - Date.now();
      assert.ok(remainingMs > 30_000 && remainingMs <= 60_500, `${remainingMs}`);
    },
  );

  behaviour(
    "When the lock expires the message is delivered again, with its delivery count one higher",
    "azure/service-bus-messaging/message-transfers-locks-settlement#peeklock",
    async () => {
      const [receiver, first] = await locked("short-lock-expiring", "again");
      const second = await receiveOne(receiver);
      assert.equal(second.messageId, first.messageId);
      assert.equal(second.deliveryCount, 1);
    },
  );

  behaviour(
    "A message cannot be settled after its lock expired: MessageLockLost",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#reason-messagelocklost",
    async () => {
      const [receiver, message] = await locked("short-lock-lost", "late");
      await expiryOf(message);
      await assert.rejects(receiver.completeMessage(message), { code: "MessageLockLost" });
    },
  );

  behaviour(
    "A renewed lock outlives its first duration",
    "azure/service-bus-messaging/message-transfers-locks-settlement#renew-locks",
    async () => {
      const [receiver, message] = await locked("short-lock-renewed", "long");
      const first = message.lockedUntilUtc.getTime();
      await delay(LOCK_MS / 3);
      const renewed = await receiver.renewMessageLock(message);
      assert.ok(renewed.getTime() > first + LOCK_MS / 4);
      assert.equal(message.lockedUntilUtc.getTime(), renewed.getTime());
      await delay(first - Date.now() + 200);
      await receiver.completeMessage(message);
    },
  );

  behaviour(
    "A lock that is lost cannot be renewed: MessageLockLost",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#reason-messagelocklost",
    async () => {
      const [receiver, message] = await locked("short-lock-unrenewable", "late");
      await expiryOf(message);
      await assert.rejects(receiver.renewMessageLock(message), { code: "MessageLockLost" });
    },
  );

  behaviour(
    "The lock of a settled message cannot be renewed: MessageLockLost",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#reason-messagelocklost",
    async (queue) => {
      const [receiver, message] = await locked(queue, "done");
      await receiver.completeMessage(message);
      await assert.rejects(receiver.renewMessageLock(message), { code: "MessageLockLost" });
    },
  );

  behaviour(
    "The SDK's automatic renewal keeps a message locked while its handler is at work",
    "azure/service-bus-messaging/message-transfers-locks-settlement#renew-locks",
    async () => {
      const queue = "short-lock-automatic";
      await client.createSender(queue).sendMessages({ body: "slow" });
      const receiver = client.createReceiver(queue, { maxAutoLockRenewalDurationInMs: 30_000 });
      const seen = [];
      const errors = [];
      receiver.subscribe({
        processMessage: async ({ deliveryCount }) => {
          seen.push(deliveryCount);
          await delay(LOCK_MS * 1.6);
        },
        processError: async ({ error }) => void errors.push(error),
      });
      await eventually(() => seen.length > 0);
      await eventually(async () => (await contents(client.createReceiver(queue))).length === 0);
      assert.deepEqual(seen, [0]);
      assert.deepEqual(errors, []);
    },
  );
});
