import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { delay, eventually } from "../lib/waiting.mjs";
import { bodies, client, contents, receiveAll, receiveOne } from "./namespace.mjs";

const send = (queue, ...contents) => client.createSender(queue).sendMessages(contents.map((body) => ({ body })));

/** Subscribes to a queue; what goes wrong is kept. */
function streamed(queue, processMessage, options) {
  const receiver = client.createReceiver(queue);
  const errors = [];
  const processError = async (args) => void errors.push(args);
  const subscription = receiver.subscribe({ processMessage, processError }, options);
  return { receiver, errors, subscription };
}

const isEmpty = async (queue) => (await contents(client.createReceiver(queue))).length === 0;

feature("Streaming", () => {
  behaviour(
    "Messages come to the handler as they are sent and are completed when it returns",
    "javascript/api/@azure/service-bus/servicebusreceiver#@azure-service-bus-servicebusreceiver-subscribe",
    async (queue) => {
      const seen = [];
      const { receiver, errors } = streamed(queue, async ({ body }) => void seen.push(body));
      await send(queue, 1, 2);
      await send(queue, 3);
      await eventually(() => seen.length === 3);
      await eventually(() => isEmpty(queue));
      await receiver.close();
      assert.deepEqual(seen, [1, 2, 3]);
      assert.deepEqual(errors, []);
    },
  );

  behaviour(
    "Not more messages are handed out at once than the handler may work on",
    "javascript/api/@azure/service-bus/subscribeoptions",
    async (queue) => {
      let current = 0;
      let most = 0;
      let done = 0;
      await send(queue, ...Array(12).keys());
      const handle = async () => {
        most = Math.max(most, ++current);
        await delay(50);
        current--;
        done++;
      };
      const { receiver } = streamed(queue, handle, { maxConcurrentCalls: 3 });
      await eventually(() => done === 12);
      await receiver.close();
      assert.equal(most, 3);
    },
  );

  behaviour(
    "A message whose handler fails is abandoned and comes again, and the error is reported",
    "javascript/api/@azure/service-bus/servicebusreceiver#@azure-service-bus-servicebusreceiver-subscribe",
    async (queue) => {
      const counts = [];
      const { receiver, errors } = streamed(queue, async ({ deliveryCount }) => {
        counts.push(deliveryCount);
        if (deliveryCount < 2) throw new Error("not yet");
      });
      await send(queue, "third time lucky");
      await eventually(() => counts.length === 3);
      await eventually(() => isEmpty(queue));
      await receiver.close();
      assert.deepEqual(counts, [0, 1, 2]);
      assert.deepEqual(errors.map(({ errorSource }) => errorSource), Array(2).fill("processMessageCallback"));
    },
  );

  behaviour(
    "The handler may settle by itself",
    "javascript/api/@azure/service-bus/subscribeoptions",
    async (queue) => {
      await send(queue, "done", "open");
      let handled = 0;
      const { receiver } = streamed(
        queue,
        async (message) => {
          if (message.body === "done") await receiver.completeMessage(message);
          handled++;
        },
        { autoCompleteMessages: false },
      );
      await eventually(() => handled === 2);
      await eventually(async () => (await contents(client.createReceiver(queue))).length === 1);
      await receiver.close();
      assert.deepEqual(await contents(client.createReceiver(queue)), ["open"]);
    },
  );

  behaviour(
    "After a subscription is closed what is sent stays for others",
    "javascript/api/@azure/service-bus/servicebusreceiver#@azure-service-bus-servicebusreceiver-subscribe",
    async (queue) => {
      const seen = [];
      const { receiver, subscription } = streamed(queue, async ({ body }) => void seen.push(body));
      await send(queue, "seen");
      await eventually(() => seen.length === 1);
      await subscription.close();
      await send(queue, "kept");
      assert.equal((await receiveOne(client.createReceiver(queue))).body, "kept");
      await receiver.close();
      assert.deepEqual(seen, ["seen"]);
    },
  );

  behaviour(
    "Competing receivers share the messages of a queue: each message goes to one of them",
    "azure/service-bus-messaging/service-bus-queues-topics-subscriptions#queues",
    async (queue) => {
      const seen = [[], []];
      const streams = seen.map((mine) =>
        streamed(queue, async ({ body }) => {
          mine.push(body);
          await delay(10);
        }),
      );
      await delay(500);
      for (let number = 0; number < 20; number++) await send(queue, number);
      await eventually(() => seen.flat().length === 20);
      await Promise.all(streams.map(({ receiver }) => receiver.close()));
      assert.deepEqual(seen.flat().sort((one, other) => one - other), [...Array(20).keys()]);
      assert.ok(seen.every((mine) => mine.length > 0));
    },
  );

  behaviour(
    "A subscription to what does not exist is told MessagingEntityNotFound",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async () => {
      const { receiver, errors } = streamed("no-such-queue", async () => {});
      await eventually(() => errors.length > 0);
      await receiver.close();
      assert.equal(errors[0].error.code, "MessagingEntityNotFound");
    },
  );

  behaviour(
    "Messages can be read one after the other by an iterator",
    "javascript/api/@azure/service-bus/servicebusreceiver#@azure-service-bus-servicebusreceiver-getmessageiterator",
    async (queue) => {
      await send(queue, 1, 2, 3);
      const receiver = client.createReceiver(queue);
      const seen = [];
      for await (const message of receiver.getMessageIterator()) {
        seen.push(message.body);
        await receiver.completeMessage(message);
        if (seen.length === 3) break;
      }
      assert.deepEqual(seen, [1, 2, 3]);
      assert.ok(await isEmpty(queue));
    },
  );

  behaviour(
    "A receiver that asks for many gets what is there",
    "azure/service-bus-messaging/service-bus-performance-improvements#receiving-messages",
    async (queue) => {
      await send(queue, ...Array(100).keys());
      const messages = await receiveAll(client.createReceiver(queue, { receiveMode: "receiveAndDelete" }), 100);
      assert.deepEqual(bodies(messages), [...Array(100).keys()]);
    },
  );
});
