// The namespace under test, by the unmodified SDK.

import { after } from "node:test";
import {
  EventHubBufferedProducerClient,
  EventHubConsumerClient,
  EventHubProducerClient,
  earliestEventPosition,
} from "@azure/event-hubs";
import { required } from "../lib/behaviour.mjs";
import { eventually } from "../lib/waiting.mjs";

export const DEFAULT_GROUP = EventHubConsumerClient.defaultConsumerGroupName;

const CONNECTION = required("EVENT_HUBS");
// Errors are what is tested: the SDK shall not try again behind our back.
const OPTIONS = { retryOptions: { maxRetries: 0 } };

function closedAtTheEnd(client) {
  after(() => client.close());
  return client;
}

export const producerOf = (hub) => closedAtTheEnd(new EventHubProducerClient(CONNECTION, hub, OPTIONS));

export function bufferedProducerOf(hub, options) {
  return closedAtTheEnd(new EventHubBufferedProducerClient(CONNECTION, hub, { ...OPTIONS, ...options }));
}

export function consumerOf(hub, { group = DEFAULT_GROUP, store, ...options } = {}) {
  const given = store ? [group, CONNECTION, hub, store] : [group, CONNECTION, hub];
  return closedAtTheEnd(new EventHubConsumerClient(...given, { ...OPTIONS, ...options }));
}

/** Sends events with these bodies to one partition. */
export function sendTo(hub, partitionId, ...contents) {
  return producerOf(hub).sendBatch(contents.map((body) => ({ body })), { partitionId });
}

/** Reads a partition, or all of them with `partitionId` null, until the end. */
export function follow(hub, { partitionId = "0", group, startPosition = earliestEventPosition, ...options } = {}) {
  const batches = [];
  const contexts = []; // of each batch
  const errors = [];
  const handlers = {
    processEvents: async (events, context) => {
      batches.push(events);
      contexts.push(context);
    },
    processError: async (error) => void errors.push(error),
  };
  const client = consumerOf(hub, { group });
  const settings = { startPosition, maxWaitTimeInSeconds: 1, ...options };
  const subscription =
    partitionId === null ? client.subscribe(handlers, settings) : client.subscribe(partitionId, handlers, settings);
  return {
    subscription,
    batches,
    contexts,
    /** The first error. */
    failure: () => eventually(() => errors[0]),
    /** All events so far, as soon as there are that many. */
    events: (count) =>
      eventually(() => {
        if (errors.length > 0) throw errors[0];
        const all = batches.flat();
        return all.length >= count && all;
      }),
  };
}

/** The next events of a partition. */
export async function read(hub, count, options) {
  const reading = follow(hub, options);
  const events = await reading.events(count);
  await reading.subscription.close();
  return events;
}

export const bodies = (events) => events.map(({ body }) => body);
