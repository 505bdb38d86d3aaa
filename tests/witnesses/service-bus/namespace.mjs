// The namespace under test, by the unmodified SDK: one connection for all behaviours of a file.

import assert from "node:assert/strict";
import { after } from "node:test";
import { ServiceBusClient } from "@azure/service-bus";
import Long from "long";
import { required } from "../lib/behaviour.mjs";

// Long enough for a slow machine; where a message is there, nothing waits for it.
const PATIENCE_MS = 20_000;
const SILENCE_MS = 1_000;

/** A connection of its own, for what one behaviour alone needs. */
export function connect(retryOptions = {}) {
  // Errors are what is tested: the SDK shall not try again behind our back.
  const client = new ServiceBusClient(required("SERVICE_BUS"), { retryOptions: { maxRetries: 0, ...retryOptions } });
  after(() => client.close());
  return client;
}

export const client = connect();

/** The next message. */
export async function receiveOne(receiver) {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: PATIENCE_MS });
  if (!message) throw new Error(`no message came from ${receiver.entityPath}`);
  return message;
}

/** The next messages, exactly as many as that. */
export async function receiveAll(receiver, count) {
  const messages = [];
  while (messages.length < count) {
    const more = await receiver.receiveMessages(count - messages.length, { maxWaitTimeInMs: PATIENCE_MS });
    if (more.length === 0) throw new Error(`${messages.length} of ${count} messages came from ${receiver.entityPath}`);
    messages.push(...more);
  }
  return messages;
}

/** Nothing comes for a moment. */
export async function assertNothingComes(receiver) {
  const messages = await receiver.receiveMessages(1, { maxWaitTimeInMs: SILENCE_MS });
  assert.deepEqual(bodies(messages), []);
}

/** The bodies of all that an entity holds, in whatever state. */
export async function contents(receiver) {
  // Without a number the SDK goes on behind what was seen last, by any receiver of the entity.
  return bodies(await receiver.peekMessages(100, { fromSequenceNumber: Long.ONE }));
}

/** Receives from the dead-letter queue of a queue or a subscription. */
export function deadLettersOf(...entity) {
  return client.createReceiver(...entity, { subQueueType: "deadLetter" });
}

export const bodies = (messages) => messages.map(({ body }) => body);
