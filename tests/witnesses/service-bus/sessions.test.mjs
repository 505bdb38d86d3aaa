import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { delay, eventually } from "../lib/waiting.mjs";
import {
  assertNothingComes,
  bodies,
  client,
  connect,
  contents,
  deadLettersOf,
  receiveAll,
  receiveOne,
} from "./namespace.mjs";

// One queue for all, since a session is the behaviour's own; what asks for the next session has a queue for itself.
const QUEUE = "sessions";
const LOCK_MS = 5_000; // of the queues `short-sessions-…`

const send = (queue, sessionId, ...contents) =>
  client.createSender(queue).sendMessages(contents.map((body) => ({ body, sessionId })));

feature("Sessions", () => {
  behaviour(
    "A session's messages come in order to the receiver that has accepted it, and no others",
    "azure/service-bus-messaging/message-sessions#session-features",
    async (session) => {
      await send(QUEUE, `${session}-other`, "other");
      await send(QUEUE, session, 1, 2, 3);
      const receiver = await client.acceptSession(QUEUE, session);
      assert.equal(receiver.sessionId, session);
      const messages = await receiveAll(receiver, 3);
      assert.deepEqual(bodies(messages), [1, 2, 3]);
      assert.ok(messages.every(({ sessionId }) => sessionId === session));
      await assertNothingComes(receiver);
    },
  );

  behaviour(
    "Messages that arrive later belong to the receiver that holds the session",
    "azure/service-bus-messaging/message-sessions#session-features",
    async (session) => {
      const receiver = await client.acceptSession(QUEUE, session);
      const receiving = receiveOne(receiver);
      await send(QUEUE, session, "late");
      assert.equal((await receiving).body, "late");
    },
  );

  behaviour(
    "A session that a receiver holds cannot be accepted by another: SessionCannotBeLocked",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async (session) => {
      await client.acceptSession(QUEUE, session);
      await assert.rejects(client.acceptSession(QUEUE, session), { code: "SessionCannotBeLocked" });
    },
  );

  behaviour(
    "Closing the receiver releases the session",
    "azure/service-bus-messaging/message-sessions#session-features",
    async (session) => {
      const first = await client.acceptSession(QUEUE, session);
      await first.close();
      const second = await client.acceptSession(QUEUE, session);
      assert.equal(second.sessionId, session);
    },
  );

  behaviour(
    "What was locked when its session was closed comes again, and that does not count as a delivery",
    "azure/service-bus-messaging/message-sessions#impact-of-delivery-count",
    async (session) => {
      await send(QUEUE, session, "open");
      const first = await client.acceptSession(QUEUE, session);
      await receiveOne(first);
      await first.close();
      const again = await receiveOne(await client.acceptSession(QUEUE, session));
      assert.equal(again.deliveryCount, 0);
    },
  );

  behaviour(
    "What was locked when its session's lock expired comes again, and that counts as a delivery",
    "azure/service-bus-messaging/message-sessions#impact-of-delivery-count",
    async (session) => {
      const queue = "short-sessions-counted";
      await send(queue, session, "open");
      await receiveOne(await client.acceptSession(queue, session, { maxAutoLockRenewalDurationInMs: 0 }));
      await delay(LOCK_MS + 500);
      const again = await receiveOne(await client.acceptSession(queue, session));
      assert.equal(again.deliveryCount, 1);
    },
  );

  behaviour(
    "The next available session is one with messages that nobody holds",
    "azure/service-bus-messaging/service-bus-amqp-protocol-guide#service-bus-sessions",
    async () => {
      const queue = "next-sessions";
      await send(queue, "held", 1);
      await send(queue, "free", 2);
      await client.acceptSession(queue, "held");
      const receiver = await client.acceptNextSession(queue);
      assert.equal(receiver.sessionId, "free");
      assert.equal((await receiveOne(receiver)).body, 2);
    },
  );

  behaviour(
    "Waiting for the next session ends when a message comes",
    "azure/service-bus-messaging/service-bus-amqp-protocol-guide#service-bus-sessions",
    async (session) => {
      const accepting = client.acceptNextSession("awaited-sessions");
      await delay(500);
      await send("awaited-sessions", session, "at last");
      assert.equal((await accepting).sessionId, session);
    },
  );

  behaviour(
    "When no session becomes available in time, accepting the next one fails with ServiceTimeout",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async () => {
      const impatient = connect({ timeoutInMs: 3_000 });
      await assert.rejects(impatient.acceptNextSession("no-sessions"), { code: "ServiceTimeout" });
    },
  );

  behaviour(
    "The session's state is kept from one receiver to the next, after its messages are consumed too",
    "azure/service-bus-messaging/message-sessions#message-session-state",
    async (session) => {
      await send(QUEUE, session, "work");
      const first = await client.acceptSession(QUEUE, session);
      await first.setSessionState({ step: 3 });
      await first.completeMessage(await receiveOne(first));
      await first.close();
      const second = await client.acceptSession(QUEUE, session);
      assert.deepEqual(await second.getSessionState(), { step: 3 });
    },
  );

  behaviour(
    "A session without state has none, and passing null clears it",
    "azure/service-bus-messaging/message-sessions#message-session-state",
    async (session) => {
      const receiver = await client.acceptSession(QUEUE, session);
      assert.equal((await receiver.getSessionState()) ?? null, null);
      await receiver.setSessionState("something");
      assert.equal(await receiver.getSessionState(), "something");
      await receiver.setSessionState(null);
      assert.equal((await receiver.getSessionState()) ?? null, null);
    },
  );

  behaviour(
    "Renewing a session's lock extends it beyond its first duration",
    "azure/service-bus-messaging/message-sessions#session-features",
    async (session) => {
      const queue = "short-sessions-renewed";
      await send(queue, session, "long");
      const receiver = await client.acceptSession(queue, session, { maxAutoLockRenewalDurationInMs: 0 });
      const message = await receiveOne(receiver);
      const first = receiver.sessionLockedUntilUtc.getTime();
      await delay(LOCK_MS / 3);
      const renewed = await receiver.renewSessionLock();
      assert.ok(renewed.getTime() > first);
      await delay(first - Date.now() + 200);
      await receiver.completeMessage(message);
    },
  );

  behaviour(
    "A receiver whose session lock has expired learns SessionLockLost, and another may accept the session",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#reason-sessionlocklost",
    async (session) => {
      const queue = "short-sessions-lost";
      await send(queue, session, "late");
      const receiver = await client.acceptSession(queue, session, { maxAutoLockRenewalDurationInMs: 0 });
      const message = await receiveOne(receiver);
      await delay(LOCK_MS + 500);
      await assert.rejects(receiver.completeMessage(message), { code: "SessionLockLost" });
      const next = await client.acceptSession(queue, session);
      assert.equal((await receiveOne(next)).body, "late");
    },
  );

  behaviour(
    "A queue that requires sessions takes no message without session id",
    "azure/service-bus-messaging/message-sessions",
    async () => {
      await assert.rejects(client.createSender(QUEUE).sendMessages({ body: "homeless" }), /session/i);
    },
  );

  behaviour(
    "A queue that requires sessions serves no receiver without one",
    "azure/service-bus-messaging/message-sessions",
    async () => {
      const receiving = client.createReceiver(QUEUE).receiveMessages(1, { maxWaitTimeInMs: 1_000 });
      await assert.rejects(receiving, /session/i);
    },
  );

  behaviour(
    "A queue without sessions lets none be accepted",
    "azure/service-bus-messaging/message-sessions",
    async (queue) => {
      await assert.rejects(client.acceptSession(queue, "any"), /session/i);
    },
  );

  behaviour(
    "Abandoning a session's message serves the same message again, before later ones",
    "azure/service-bus-messaging/message-sessions#session-features",
    async (session) => {
      await send(QUEUE, session, 1, 2);
      const receiver = await client.acceptSession(QUEUE, session);
      await receiver.abandonMessage(await receiveOne(receiver));
      const messages = await receiveAll(receiver, 2);
      assert.deepEqual(bodies(messages), [1, 2]);
      assert.equal(messages[0].deliveryCount, 1);
    },
  );

  behaviour(
    "Messages of a session can be deferred and dead-lettered",
    "azure/service-bus-messaging/message-deferral",
    async (session) => {
      const queue = "settled-sessions";
      await send(queue, session, "later", "never");
      const receiver = await client.acceptSession(queue, session);
      const [later, never] = await receiveAll(receiver, 2);
      await receiver.deferMessage(later);
      await receiver.deadLetterMessage(never, { deadLetterReason: "no", deadLetterErrorDescription: "never" });
      const [again] = await receiver.receiveDeferredMessages(later.sequenceNumber);
      assert.equal(again.body, "later");
      await receiver.completeMessage(again);
      const dead = await receiveOne(deadLettersOf(queue));
      assert.deepEqual([dead.body, dead.sessionId], ["never", session]);
    },
  );

  behaviour(
    "A session's receiver browses the messages of its session only",
    "azure/service-bus-messaging/message-browsing",
    async (session) => {
      await send(QUEUE, `${session}-other`, "other");
      await send(QUEUE, session, "mine");
      const receiver = await client.acceptSession(QUEUE, session);
      assert.deepEqual(await contents(receiver), ["mine"]);
    },
  );

  behaviour(
    "A session's messages can be streamed in order to a handler",
    "azure/service-bus-messaging/message-sessions#first-in-first-out-fifo-pattern",
    async (session) => {
      await send(QUEUE, session, 1, 2, 3, 4, 5);
      const receiver = await client.acceptSession(QUEUE, session);
      const seen = [];
      receiver.subscribe({
        processMessage: async ({ body }) => void seen.push(body),
        processError: async ({ error }) => void seen.push(error),
      });
      await eventually(() => seen.length >= 5);
      assert.deepEqual(seen, [1, 2, 3, 4, 5]);
    },
  );

  behaviour(
    "A request carries the session for its reply, and the requester gets the reply by that session",
    "azure/service-bus-messaging/message-sessions#request-response-pattern",
    async (queue) => {
      const session = `reply-to-${queue}`;
      const replies = await client.acceptSession(QUEUE, session);
      await client.createSender(queue).sendMessages({ body: 20, replyTo: QUEUE, replyToSessionId: session });
      const request = await receiveOne(client.createReceiver(queue));
      await client.createSender(request.replyTo).sendMessages({
        body: request.body + 1,
        sessionId: request.replyToSessionId,
        correlationId: request.messageId,
      });
      const reply = await receiveOne(replies);
      assert.deepEqual([reply.body, reply.correlationId], [21, request.messageId]);
    },
  );
});
