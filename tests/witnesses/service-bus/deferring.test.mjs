import assert from "node:assert/strict";
import Long from "long";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { assertNothingComes, bodies, client, contents, deadLettersOf, receiveAll, receiveOne } from "./namespace.mjs";

async function deferred(queue, ...contents) {
  await client.createSender(queue).sendMessages(contents.map((body) => ({ body })));
  const receiver = client.createReceiver(queue);
  const messages = await receiveAll(receiver, contents.length);
  await Promise.all(messages.map((message) => receiver.deferMessage(message)));
  return [receiver, messages.map(({ sequenceNumber }) => sequenceNumber)];
}

feature("Deferring", () => {
  behaviour(
    "A deferred message is set aside: it is not received in the regular way",
    "azure/service-bus-messaging/message-deferral",
    async (queue) => {
      const [receiver] = await deferred(queue, "later");
      await assertNothingComes(receiver);
    },
  );

  behaviour(
    "A deferred message is received by its sequence number, under a lock, and can be completed",
    "azure/service-bus-messaging/message-deferral#message-deferral-apis",
    async (queue) => {
      const [receiver, [number]] = await deferred(queue, "later");
      const [message] = await receiver.receiveDeferredMessages(number);
      assert.equal(message.body, "later");
      assert.ok(message.lockToken);
      await receiver.completeMessage(message);
      assert.deepEqual(await contents(receiver), []);
    },
  );

  behaviour(
    "Several deferred messages are received at once, in the order of asking",
    "azure/service-bus-messaging/message-deferral#message-deferral-apis",
    async (queue) => {
      const [receiver, [first, second, third]] = await deferred(queue, 1, 2, 3);
      const messages = await receiver.receiveDeferredMessages([third, first]);
      assert.deepEqual(bodies(messages), [3, 1]);
      assert.deepEqual(bodies(await receiver.receiveDeferredMessages([second])), [2]);
    },
  );

  behaviour(
    "A deferred message can be discovered by browsing, which shows it as deferred",
    "azure/service-bus-messaging/message-deferral#message-deferral-apis",
    async (queue) => {
      const [receiver, [number]] = await deferred(queue, "later");
      const [message] = await receiver.peekMessages(1);
      assert.equal(message.state, "deferred");
      assert.ok(message.sequenceNumber.equals(number));
    },
  );

  behaviour(
    "A number under which nothing is deferred is answered by MessageNotFound",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async (queue) => {
      const receiver = client.createReceiver(queue);
      await assert.rejects(receiver.receiveDeferredMessages(Long.fromNumber(4711)), { code: "MessageNotFound" });
    },
  );

  behaviour(
    "A deferred message that is locked already is answered by MessageNotFound",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async (queue) => {
      const [receiver, [number]] = await deferred(queue, "taken");
      await receiver.receiveDeferredMessages(number);
      const other = client.createReceiver(queue);
      await assert.rejects(other.receiveDeferredMessages(number), { code: "MessageNotFound" });
    },
  );

  behaviour(
    "A deferred message that is abandoned or deferred again stays deferred, and every attempt counts",
    "https://github.com/Azure/azure-sdk-for-js/blob/main/sdk/servicebus/service-bus/test/public/deferredMessage.spec.ts",
    async (queue) => {
      const [receiver, [number]] = await deferred(queue, "later");
      const [first] = await receiver.receiveDeferredMessages(number);
      assert.deepEqual([first.state, first.deliveryCount], ["deferred", 1]);
      await receiver.abandonMessage(first);
      await assertNothingComes(receiver);
      const [second] = await receiver.receiveDeferredMessages(number);
      assert.equal(second.deliveryCount, 2);
      await receiver.deferMessage(second);
      const [third] = await receiver.receiveDeferredMessages(number);
      assert.deepEqual([third.state, third.deliveryCount], ["deferred", 3]);
    },
  );

  behaviour(
    "A deferred message can be dead-lettered",
    "azure/service-bus-messaging/message-deferral",
    async (queue) => {
      const [receiver, [number]] = await deferred(queue, "hopeless");
      const [message] = await receiver.receiveDeferredMessages(number);
      await receiver.deadLetterMessage(message, { deadLetterReason: "why", deadLetterErrorDescription: "because" });
      const dead = await receiveOne(deadLettersOf(queue));
      assert.deepEqual([dead.body, dead.deadLetterReason, dead.deliveryCount], ["hopeless", "why", 1]);
    },
  );

  behaviour(
    "Deferring may change application properties",
    "javascript/api/@azure/service-bus/servicebusreceiver#@azure-service-bus-servicebusreceiver-defermessage",
    async (queue) => {
      await client.createSender(queue).sendMessages({ body: "", applicationProperties: { step: 1 } });
      const receiver = client.createReceiver(queue);
      const message = await receiveOne(receiver);
      await receiver.deferMessage(message, { step: 2 });
      const [later] = await receiver.receiveDeferredMessages(message.sequenceNumber);
      assert.deepEqual(later.applicationProperties, { step: 2 });
    },
  );
});
