import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { eventsOf } from "./events.mjs";
import { connected, identityOf, Message, register, withCertificate } from "./hub.mjs";

const text = ({ body }) => (Buffer.isBuffer(body) ? body.toString() : body);

function message(body, properties = {}, system = {}) {
  const made = Object.assign(new Message(body), system);
  for (const [name, value] of Object.entries(properties)) made.properties.add(name, value);
  return made;
}

feature("Telemetry", () => {
  behaviour(
    "A message arrives with its body and application properties, unchanged",
    "azure/iot-hub/iot-hub-devguide-messages-construct",
    async (deviceId) => {
      const client = await connected(deviceId);
      const properties = { type: "telemetry", "a b": "c=d&e/f?%", ümlaut: "käfer 🚗", empty: "" };
      await client.sendEvent(message(Buffer.from([0, 1, 254, 255]), properties));
      const [event] = await eventsOf(deviceId, 1);
      assert.deepEqual(Buffer.from(event.body), Buffer.from([0, 1, 254, 255]));
      assert.deepEqual(event.properties, properties);
    },
  );

  behaviour(
    "The hub stamps a message with who sent it, how it proved that, and when it came",
    "azure/iot-hub/iot-hub-devguide-messages-construct#anti-spoofing-properties",
    async (deviceId) => {
      const client = await connected(deviceId);
      const before = Date.now();
      await client.sendEvent(message("stamped"));
      const [{ systemProperties }] = await eventsOf(deviceId, 1);
      assert.equal(systemProperties["iothub-connection-device-id"], deviceId);
      const { generationId } = await identityOf(deviceId);
      assert.equal(systemProperties["iothub-connection-auth-generation-id"], generationId);
      const { scope, type, issuer } = JSON.parse(systemProperties["iothub-connection-auth-method"]);
      assert.deepEqual([scope, type, issuer], ["device", "sas", "iothub"]);
      assert.equal(systemProperties["iothub-message-source"], "Telemetry");
      const enqueued = new Date(systemProperties["iothub-enqueuedtime"]).getTime();
      assert.ok(enqueued >= before - 1 && enqueued <= Date.now() + 1, `${enqueued}`);
    },
  );

  behaviour(
    "A message of a device with a certificate says so",
    "azure/iot-hub/iot-hub-devguide-messages-construct#anti-spoofing-properties",
    async () => {
      await register("certified-car", { authentication: { type: "certificateAuthority" } });
      const client = await withCertificate("certified-car", "certified");
      await client.sendEvent(message("certified"));
      const [{ systemProperties }] = await eventsOf("certified-car", 1);
      const { scope, type } = JSON.parse(systemProperties["iothub-connection-auth-method"]);
      assert.equal(scope, "device");
      assert.match(type, /^x509/);
    },
  );

  behaviour(
    "Nothing that a device says replaces the hub's stamps",
    "azure/iot-hub/iot-hub-devguide-messages-construct#anti-spoofing-properties",
    async (deviceId) => {
      const client = await connected(deviceId);
      await client.sendEvent(message("forged", { "iothub-connection-device-id": "another" }));
      const [event] = await eventsOf(deviceId, 1);
      assert.equal(text(event), "forged");
      assert.equal(event.systemProperties["iothub-connection-device-id"], deviceId);
    },
  );

  behaviour(
    "System properties that a device may set arrive as those of the event",
    "azure/iot-hub/iot-hub-devguide-messages-construct#system-properties-of-d2c-iot-hub-messages",
    async (deviceId) => {
      const client = await connected(deviceId);
      const system = {
        messageId: "m-1",
        correlationId: "c-1",
        userId: "u-1",
        contentType: "application/json",
        contentEncoding: "utf-8",
      };
      await client.sendEvent(message(JSON.stringify({ speed: 7 }), {}, system));
      const [event] = await eventsOf(deviceId, 1);
      assert.deepEqual(event.body, { speed: 7 });
      assert.equal(event.messageId, "m-1");
      assert.equal(event.correlationId, "c-1");
      assert.equal(event.contentType, "application/json");
      assert.equal(event.systemProperties.contentEncoding, "utf-8");
      assert.equal(Buffer.from(Object.values(event.systemProperties.userId)).toString(), "u-1");
    },
  );

  behaviour(
    "A device's messages come in order in one partition",
    "azure/iot-hub/iot-hub-devguide-messages-construct",
    async (deviceId) => {
      const client = await connected(deviceId);
      for (let number = 0; number < 10; number++) await client.sendEvent(message(String(number)));
      const events = await eventsOf(deviceId, 10);
      assert.deepEqual(events.map(text).map(Number), [...Array(10).keys()]);
      assert.equal(new Set(events.map(({ partitionId }) => partitionId)).size, 1);
    },
  );

  behaviour(
    "A message of nearly 256 KB is taken",
    "azure/iot-hub/iot-hub-devguide-quotas-throttling#other-limits",
    async (deviceId) => {
      const client = await connected(deviceId);
      const body = Buffer.alloc(250 * 1024, 7);
      await client.sendEvent(message(body));
      const [event] = await eventsOf(deviceId, 1);
      assert.ok(Buffer.from(event.body).equals(body));
    },
  );

  behaviour(
    "A route takes the messages that its query matches, and the fallback what no route takes",
    "azure/iot-hub/iot-hub-devguide-messages-d2c#fallback-route",
    async (deviceId) => {
      const client = await connected(deviceId);
      await client.sendEvent(message("routed", { level: "urgent" }));
      await client.sendEvent(message("other", { level: "low" }));
      assert.deepEqual((await eventsOf(deviceId, 1, "urgent")).map(text), ["routed"]);
      assert.deepEqual((await eventsOf(deviceId, 1)).map(text), ["other"]);
    },
  );
});
