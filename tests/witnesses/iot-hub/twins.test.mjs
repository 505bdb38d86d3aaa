import assert from "node:assert/strict";
import { promisify } from "node:util";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { eventually } from "../lib/waiting.mjs";
import { connected, keyOf, register, registry, twinOf, withKey } from "./hub.mjs";

const report = (twin, patch) => promisify(twin.properties.reported.update)(patch);
const desire = (deviceId, desired, etag = "*") => registry.updateTwin(deviceId, { properties: { desired } }, etag);

/** What a device holds of a section, without what the SDK keeps there beside the properties. */
function plain({ update, $version, ...properties }) {
  return properties;
}

feature("Twins", () => {
  behaviour(
    "A new device's twin has no properties, in their first version",
    "azure/iot-hub/iot-hub-devguide-device-twins#device-twins",
    async (deviceId) => {
      const { properties } = await (await connected(deviceId)).getTwin();
      assert.deepEqual([plain(properties.desired), plain(properties.reported)], [{}, {}]);
      assert.deepEqual([properties.desired.$version, properties.reported.$version], [1, 1]);
    },
  );

  behaviour(
    "A device reads the desired properties that a service has set, but not the tags",
    "azure/iot-hub/iot-hub-devguide-device-twins#device-operations",
    async (deviceId) => {
      const key = keyOf(await register(deviceId));
      const patch = { tags: { region: "north" }, properties: { desired: { interval: 5, nested: { on: true } } } };
      await registry.updateTwin(deviceId, patch, "*");
      const twin = await (await withKey(deviceId, key)).getTwin();
      assert.deepEqual(plain(twin.properties.desired), { interval: 5, nested: { on: true } });
      assert.equal(twin.tags, undefined);
      assert.deepEqual((await twinOf(deviceId)).tags, { region: "north" });
    },
  );

  behaviour(
    "A connected device is told of changes of its desired properties, with their version",
    "azure/iot-hub/iot-hub-devguide-device-twins#device-operations",
    async (deviceId) => {
      const twin = await (await connected(deviceId)).getTwin();
      const patches = [];
      twin.on("properties.desired", (patch) => patches.push(patch));
      await desire(deviceId, { interval: 5 });
      await eventually(() => patches.some(({ interval }) => interval === 5));
      await desire(deviceId, { colour: "red" });
      const last = await eventually(() => patches.find(({ colour }) => colour === "red"));
      assert.equal(last.$version, 3);
      assert.deepEqual(plain(twin.properties.desired), { interval: 5, colour: "red" });
    },
  );

  behaviour(
    "Null removes a desired property, here and on the device",
    "azure/iot-hub/iot-hub-devguide-device-twins#back-end-operations",
    async (deviceId) => {
      const twin = await (await connected(deviceId)).getTwin();
      let changes = 0;
      twin.on("properties.desired", () => changes++);
      await desire(deviceId, { kept: 1, removed: { deep: 2 } });
      await desire(deviceId, { removed: null });
      await eventually(() => twin.properties.desired.$version === 3 && changes > 0);
      assert.deepEqual(plain(twin.properties.desired), { kept: 1 });
      const { $metadata, $version, ...desired } = (await twinOf(deviceId)).properties.desired;
      assert.deepEqual(desired, { kept: 1 });
    },
  );

  behaviour(
    "What a device reports is seen by services, merged, with version and the times of the changes",
    "azure/iot-hub/iot-hub-devguide-device-twins#device-operations",
    async (deviceId) => {
      const twin = await (await connected(deviceId)).getTwin();
      const before = Date.now();
      await report(twin, { battery: { level: 80, health: "good" }, firmware: "1.0" });
      await report(twin, { battery: { level: 79 }, firmware: null });
      const { $metadata, $version, ...reported } = (await twinOf(deviceId)).properties.reported;
      assert.deepEqual(reported, { battery: { level: 79, health: "good" } });
      assert.equal($version, 3);
      assert.ok(new Date($metadata.battery.level.$lastUpdated).getTime() >= before - 1);
    },
  );

  behaviour(
    "Reported properties that break a rule of twins are refused and change nothing",
    "azure/iot-hub/iot-hub-devguide-device-twins#tags-and-properties-format",
    async (deviceId) => {
      const twin = await (await connected(deviceId)).getTwin();
      await report(twin, { good: 1 });
      await assert.rejects(report(twin, { "a.b": 2 }));
      const { $metadata, $version, ...reported } = (await twinOf(deviceId)).properties.reported;
      assert.deepEqual([reported, $version], [{ good: 1 }, 2]);
    },
  );

  behaviour(
    "Desired properties that are set while a device is away are there when it comes back",
    "azure/iot-hub/iot-hub-devguide-device-twins#device-reconnection-flow",
    async (deviceId) => {
      const client = await connected(deviceId);
      await client.close();
      await desire(deviceId, { while: "away" });
      await client.open();
      const twin = await client.getTwin();
      assert.deepEqual(plain(twin.properties.desired), { while: "away" });
    },
  );

  behaviour(
    "A twin is changed only in the version that the caller knows, if it names one",
    "azure/iot-hub/iot-hub-devguide-device-twins#optimistic-concurrency",
    async (deviceId) => {
      await register(deviceId);
      const { etag } = await twinOf(deviceId);
      await desire(deviceId, { first: true }, etag);
      await assert.rejects(desire(deviceId, { second: true }, etag), { name: "InvalidEtagError" });
      const { desired } = (await twinOf(deviceId)).properties;
      assert.deepEqual([desired.first, desired.second], [true, undefined]);
    },
  );

  behaviour(
    "There is no twin of a device that does not exist",
    "azure/iot-hub/iot-hub-devguide-device-twins#back-end-operations",
    async (deviceId) => {
      await assert.rejects(registry.getTwin(deviceId), { name: "DeviceNotFoundError" });
    },
  );
});
