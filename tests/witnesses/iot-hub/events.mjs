// What devices have sent, as it arrives in the Event Hubs behind the hub.

import { after } from "node:test";
import { EventHubConsumerClient, earliestEventPosition } from "@azure/event-hubs";
import { required } from "../lib/behaviour.mjs";
import { eventually } from "../lib/waiting.mjs";

const arrived = new Map(["events", "urgent"].map((eventHub) => [eventHub, consume(eventHub)]));

/** The events of a device in an Event Hub, with their partitions, as soon as there are that many. */
export function eventsOf(deviceId, count, eventHub = "events") {
  const isIts = ({ systemProperties }) => systemProperties["iothub-connection-device-id"] === deviceId;
  return eventually(() => {
    const found = arrived.get(eventHub).filter(isIts);
    return found.length >= count && found;
  });
}

function consume(eventHub) {
  const events = [];
  const group = EventHubConsumerClient.defaultConsumerGroupName;
  const client = new EventHubConsumerClient(group, required("EVENT_HUBS"), eventHub);
  const handlers = {
    processEvents: async (more, { partitionId }) => void events.push(...more.map((one) => ({ ...one, partitionId }))),
    processError: async (error) => console.error(error),
  };
  client.subscribe(handlers, { startPosition: earliestEventPosition });
  after(() => client.close());
  return events;
}
