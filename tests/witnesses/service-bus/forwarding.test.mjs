import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { bodies, client, deadLettersOf, receiveAll, receiveOne } from "./namespace.mjs";

feature("Forwarding", () => {
  behaviour(
    "A message sent to a queue that forwards is received from the other queue",
    "azure/service-bus-messaging/service-bus-auto-forwarding",
    async () => {
      await client.createSender("forwarding").sendMessages([{ body: 1 }, { body: 2 }]);
      assert.deepEqual(bodies(await receiveAll(client.createReceiver("forwarded-to"), 2)), [1, 2]);
    },
  );

  behaviour(
    "Nothing can be received from a queue that forwards",
    "azure/service-bus-messaging/service-bus-auto-forwarding#considerations",
    async () => {
      await assert.rejects(client.createReceiver("forwarding").receiveMessages(1, { maxWaitTimeInMs: 1_000 }));
    },
  );

  behaviour(
    "A forwarded message keeps the sequence number that it had where it was submitted",
    "azure/service-bus-messaging/service-bus-messages-payloads",
    async () => {
      const target = client.createSender("forwarded-counted");
      await target.sendMessages([{ body: "direct" }, { body: "direct" }]);
      await client.createSender("forwarding-counted").sendMessages({ body: "forwarded" });
      const messages = await receiveAll(client.createReceiver("forwarded-counted"), 3);
      const numbers = messages.map((message) => [message.enqueuedSequenceNumber, message.sequenceNumber.toNumber()]);
      assert.deepEqual(numbers, [[1, 1], [2, 2], [1, 3]]);
    },
  );

  behaviour(
    "A subscription can forward to a queue",
    "azure/service-bus-messaging/service-bus-auto-forwarding",
    async () => {
      await client.createSender("collected-news").sendMessages({ body: "news" });
      assert.equal((await receiveOne(client.createReceiver("collected"))).body, "news");
    },
  );

  behaviour(
    "Dead letters can be forwarded to another queue, where they say where they come from",
    "azure/service-bus-messaging/service-bus-messages-payloads",
    async () => {
      await client.createSender("forwarding-dead").sendMessages({ body: "dead" });
      const receiver = client.createReceiver("forwarding-dead");
      const reasons = { deadLetterReason: "why", deadLetterErrorDescription: "because" };
      await receiver.deadLetterMessage(await receiveOne(receiver), reasons);
      const dead = await receiveOne(client.createReceiver("all-dead"));
      assert.deepEqual([dead.body, dead.deadLetterReason, dead.deadLetterSource], ["dead", "why", "forwarding-dead"]);
    },
  );

  behaviour(
    "A message that has been forwarded four times goes to the dead-letter queue as MaxTransferHopCountExceeded",
    "azure/service-bus-messaging/service-bus-dead-letter-queues#dead-lettering-in-auto-forward-scenarios",
    async () => {
      await client.createSender("chain-0").sendMessages({ body: "too far" });
      const dead = await receiveOne(deadLettersOf("chain-4"));
      assert.deepEqual([dead.body, dead.deadLetterReason], ["too far", "MaxTransferHopCountExceeded"]);
    },
  );
});
