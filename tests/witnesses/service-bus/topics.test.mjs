import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { assertNothingComes, bodies, client, contents, deadLettersOf, receiveAll, receiveOne } from "./namespace.mjs";

const publish = (topic, ...messages) => client.createSender(topic).sendMessages(messages);

feature("Topics", () => {
  behaviour(
    "Every subscription gets a copy of a message, which is settled there alone",
    "azure/service-bus-messaging/topic-filters#usage-patterns",
    async () => {
      await publish("news", { body: "for all" });
      const [first, second] = ["first", "second"].map((name) => client.createReceiver("news", name));
      await first.completeMessage(await receiveOne(first));
      assert.equal((await receiveOne(second)).body, "for all");
      assert.deepEqual(await contents(first), []);
    },
  );

  behaviour(
    "Each subscription has a dead-letter queue of its own",
    "azure/service-bus-messaging/service-bus-dead-letter-queues#path-to-the-dead-letter-queue",
    async () => {
      await publish("rejected-news", { body: "bad" });
      const receiver = client.createReceiver("rejected-news", "first");
      await receiver.deadLetterMessage(await receiveOne(receiver));
      assert.equal((await receiveOne(deadLettersOf("rejected-news", "first"))).body, "bad");
      assert.deepEqual(await contents(deadLettersOf("rejected-news", "second")), []);
    },
  );

  behaviour(
    "A subscription that does not exist is answered by MessagingEntityNotFound",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async () => {
      const receiving = client.createReceiver("news", "no-such").receiveMessages(1, { maxWaitTimeInMs: 1_000 });
      await assert.rejects(receiving, { code: "MessagingEntityNotFound" });
    },
  );

  behaviour(
    "A subscription can have sessions",
    "azure/service-bus-messaging/message-sessions#first-in-first-out-fifo-pattern",
    async () => {
      const messages = ["a", "b", "a"].map((sessionId, body) => ({ body, sessionId }));
      await publish("sessions-news", ...messages);
      const receiver = await client.acceptSession("sessions-news", "ordered", "a");
      assert.deepEqual(bodies(await receiveAll(receiver, 2)), [0, 2]);
    },
  );

  behaviour(
    "A topic detects duplicates for all its subscriptions",
    "azure/service-bus-messaging/duplicate-detection",
    async () => {
      await publish("unique-news", { body: 1, messageId: "same" });
      await publish("unique-news", { body: 2, messageId: "same" });
      for (const name of ["first", "second"]) {
        const receiver = client.createReceiver("unique-news", name);
        assert.equal((await receiveOne(receiver)).body, 1);
        await assertNothingComes(receiver);
      }
    },
  );

  behaviour(
    "Nothing can be received from a topic itself",
    "azure/service-bus-messaging/service-bus-queues-topics-subscriptions#topics-and-subscriptions",
    async () => {
      await assert.rejects(client.createReceiver("news").receiveMessages(1, { maxWaitTimeInMs: 1_000 }));
    },
  );
});
