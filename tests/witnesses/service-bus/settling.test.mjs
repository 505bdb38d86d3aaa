import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { assertNothingComes, bodies, client, contents, deadLettersOf, receiveAll, receiveOne } from "./namespace.mjs";

async function sent(queue, ...messages) {
  await client.createSender(queue).sendMessages(messages.map((body) => ({ body })));
  return client.createReceiver(queue);
}

feature("Settling", () => {
  behaviour(
    "A completed message is gone",
    "azure/service-bus-messaging/message-transfers-locks-settlement#settling-receive-operations",
    async (queue) => {
      const receiver = await sent(queue, "done");
      await receiver.completeMessage(await receiveOne(receiver));
      assert.deepEqual(await contents(receiver), []);
    },
  );

  behaviour(
    "A message under lock is hidden from competing receivers, which get the next one",
    "azure/service-bus-messaging/message-transfers-locks-settlement#peeklock",
    async (queue) => {
      const [first, second] = [await sent(queue, 1, 2), client.createReceiver(queue)];
      assert.equal((await receiveOne(first)).body, 1);
      assert.equal((await receiveOne(second)).body, 2);
      await assertNothingComes(second);
    },
  );

  behaviour(
    "An abandoned message is delivered again at once, with its delivery count one higher",
    "azure/service-bus-messaging/message-transfers-locks-settlement#settling-receive-operations",
    async (queue) => {
      const receiver = await sent(queue, "again");
      const first = await receiveOne(receiver);
      assert.equal(first.deliveryCount, 0);
      await receiver.abandonMessage(first);
      const second = await receiveOne(receiver);
      assert.equal(second.deliveryCount, 1);
      assert.equal(second.messageId, first.messageId);
      assert.notEqual(second.lockToken, first.lockToken);
    },
  );

  behaviour(
    "An abandoned message returns to the front, before those that came later",
    "azure/service-bus-messaging/message-transfers-locks-settlement#settling-receive-operations",
    async (queue) => {
      const receiver = await sent(queue, 1, 2, 3);
      await receiver.abandonMessage(await receiveOne(receiver));
      assert.deepEqual(bodies(await receiveAll(receiver, 3)), [1, 2, 3]);
    },
  );

  behaviour(
    "Abandoning may change application properties for the next delivery",
    "javascript/api/@azure/service-bus/servicebusreceiver#@azure-service-bus-servicebusreceiver-abandonmessage",
    async (queue) => {
      const message = { body: "", applicationProperties: { kept: 1, changed: 1 } };
      await client.createSender(queue).sendMessages(message);
      const receiver = client.createReceiver(queue);
      await receiver.abandonMessage(await receiveOne(receiver), { changed: 2, added: "new" });
      const { applicationProperties } = await receiveOne(receiver);
      assert.deepEqual(applicationProperties, { kept: 1, changed: 2, added: "new" });
    },
  );

  behaviour(
    "A message can be rejected into the dead-letter queue with a reason, a description and properties",
    "azure/service-bus-messaging/service-bus-dead-letter-queues#application-level-dead-lettering",
    async (queue) => {
      const receiver = await sent(queue, "broken");
      await receiver.deadLetterMessage(await receiveOne(receiver), {
        deadLetterReason: "Unreadable",
        deadLetterErrorDescription: "line 3",
        attempt: 7,
      });
      const dead = await receiveOne(deadLettersOf(queue));
      assert.equal(dead.body, "broken");
      assert.equal(dead.deadLetterReason, "Unreadable");
      assert.equal(dead.deadLetterErrorDescription, "line 3");
      assert.equal(dead.applicationProperties.attempt, 7);
    },
  );

  behaviour(
    "A message that is delivered in vain too often goes to the dead-letter queue as MaxDeliveryCountExceeded",
    "azure/service-bus-messaging/service-bus-dead-letter-queues#maximum-delivery-count",
    async () => {
      const receiver = await sent("two-deliveries", "never");
      await receiver.abandonMessage(await receiveOne(receiver));
      await receiver.abandonMessage(await receiveOne(receiver));
      const dead = await receiveOne(deadLettersOf("two-deliveries"));
      assert.equal(dead.deadLetterReason, "MaxDeliveryCountExceeded");
      await assertNothingComes(receiver);
    },
  );

  behaviour(
    "A message received in the mode receive-and-delete is consumed when it is sent",
    "azure/service-bus-messaging/message-transfers-locks-settlement#receiveanddelete",
    async (queue) => {
      await sent(queue, "once");
      const receiver = client.createReceiver(queue, { receiveMode: "receiveAndDelete" });
      const message = await receiveOne(receiver);
      assert.equal(message.lockToken, undefined);
      assert.deepEqual(await contents(receiver), []);
    },
  );

  behaviour(
    "A message locked by a receiver that closes is delivered to another",
    "azure/service-bus-messaging/message-transfers-locks-settlement#peeklock",
    async () => {
      const receiver = await sent("short-lock-closing", "inherited");
      await receiveOne(receiver);
      await receiver.close();
      const { body } = await receiveOne(client.createReceiver("short-lock-closing"));
      assert.equal(body, "inherited");
    },
  );

  behaviour(
    "Messages that a receive did not ask for stay in the queue for others",
    "azure/service-bus-messaging/service-bus-prefetch",
    async (queue) => {
      const receiver = await sent(queue, 1, 2, 3);
      assert.equal((await receiveOne(receiver)).body, 1);
      const others = await receiveAll(client.createReceiver(queue), 2);
      assert.deepEqual(bodies(others), [2, 3]);
      assert.deepEqual(others.map(({ deliveryCount }) => deliveryCount), [0, 0]);
    },
  );

  behaviour(
    "A dead-lettered message is a message of the dead-letter queue: it can be peeked, abandoned and completed there",
    "azure/service-bus-messaging/service-bus-dead-letter-queues#the-dead-letter-queue",
    async (queue) => {
      const receiver = await sent(queue, "dead");
      await receiver.deadLetterMessage(await receiveOne(receiver));
      const dead = deadLettersOf(queue);
      assert.deepEqual(await contents(dead), ["dead"]);
      await dead.abandonMessage(await receiveOne(dead));
      await dead.completeMessage(await receiveOne(dead));
      assert.deepEqual(await contents(dead), []);
    },
  );
});
