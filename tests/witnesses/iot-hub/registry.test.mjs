import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { connected, disconnection, identityOf, register, registry, service } from "./hub.mjs";

feature("Registry", () => {
  behaviour(
    "A new device is enabled, has two keys, a generation and an etag, and is not connected",
    "azure/iot-hub/iot-hub-devguide-identity-registry#device-identity-properties",
    async (deviceId) => {
      const identity = await register(deviceId);
      assert.equal(identity.deviceId, deviceId);
      assert.equal(identity.status, "enabled");
      assert.equal(identity.connectionState, "Disconnected");
      assert.ok(identity.generationId && identity.etag);
      const { type, symmetricKey } = identity.authentication;
      assert.equal(type, "sas");
      assert.notEqual(symmetricKey.primaryKey, symmetricKey.secondaryKey);
      assert.deepEqual(await identityOf(deviceId), identity);
    },
  );

  behaviour(
    "A device id can be taken only once: DeviceAlreadyExists",
    "azure/iot-hub/iot-hub-devguide-identity-registry#identity-registry-operations",
    async (deviceId) => {
      await register(deviceId);
      await assert.rejects(register(deviceId), { name: "DeviceAlreadyExistsError" });
    },
  );

  behaviour(
    "What is not registered is not found: DeviceNotFound",
    "azure/iot-hub/iot-hub-devguide-identity-registry#identity-registry-operations",
    async (deviceId) => {
      await assert.rejects(registry.get(deviceId), { name: "DeviceNotFoundError" });
      await assert.rejects(registry.delete(deviceId), { name: "DeviceNotFoundError" });
    },
  );

  behaviour(
    "A device is changed, with a reason for its status, and its etag changes with it",
    "azure/iot-hub/iot-hub-devguide-identity-registry#device-identity-properties",
    async (deviceId) => {
      const before = await register(deviceId);
      await registry.update({ ...before, status: "disabled", statusReason: "stolen" });
      const after = await identityOf(deviceId);
      assert.deepEqual([after.status, after.statusReason], ["disabled", "stolen"]);
      assert.notEqual(after.etag, before.etag);
      assert.equal(after.generationId, before.generationId);
    },
  );

  behaviour(
    "A device that is deleted and registered again is another one: its generation tells",
    "azure/iot-hub/iot-hub-devguide-identity-registry#device-identity-properties",
    async (deviceId) => {
      const first = await register(deviceId);
      await registry.delete(deviceId);
      const second = await register(deviceId);
      assert.notEqual(second.generationId, first.generationId);
    },
  );

  behaviour(
    "A device that is deleted while it is connected is cut off",
    "azure/iot-hub/iot-hub-devguide-identity-registry#identity-registry-operations",
    async (deviceId) => {
      const client = await connected(deviceId);
      const gone = disconnection(client);
      await registry.delete(deviceId);
      await gone();
    },
  );

  behaviour(
    "Devices are listed",
    "azure/iot-hub/iot-hub-devguide-identity-registry#identity-registry-operations",
    async (deviceId) => {
      await register(deviceId);
      const { responseBody } = await registry.list();
      assert.ok(responseBody.some((device) => device.deviceId === deviceId));
    },
  );

  behaviour(
    "Many devices are registered, and removed, by one request, which tells of each that could not be",
    "rest/api/iothub/service/bulk-registry/update-registry",
    async (prefix) => {
      const devices = ["a", "b", "c"].map((name) => ({ deviceId: `${prefix}-${name}` }));
      await register(devices[1].deviceId);
      await assert.rejects(registry.addDevices(devices), ({ responseBody }) => {
        const { isSuccessful, errors } = JSON.parse(responseBody);
        assert.equal(isSuccessful, false);
        assert.deepEqual(errors.map(({ deviceId, errorCode }) => [deviceId, errorCode]), [
          [devices[1].deviceId, "DeviceAlreadyExists"],
        ]);
        return true;
      });
      assert.equal((await identityOf(devices[2].deviceId)).status, "enabled");
      await registry.removeDevices(devices, true);
      await assert.rejects(registry.get(devices[0].deviceId), { name: "DeviceNotFoundError" });
    },
  );

  behaviour(
    "Devices are found by a query over their twins, page by page",
    "azure/iot-hub/iot-hub-devguide-query-language#device-twin-queries",
    async (prefix) => {
      for (const [name, floor] of [["a", 1], ["b", 2], ["c", 3]]) {
        await register(`${prefix}-${name}`);
        await registry.updateTwin(`${prefix}-${name}`, { tags: { house: prefix, floor } }, "*");
      }
      const condition = `tags.house = '${prefix}' AND tags.floor >= 2`;
      const query = registry.createQuery(`SELECT * FROM devices WHERE ${condition}`, 1);
      const found = [];
      while (query.hasMoreResults) found.push(...(await query.nextAsTwin()).result);
      assert.deepEqual(found.map(({ deviceId }) => deviceId).sort(), [`${prefix}-b`, `${prefix}-c`]);
    },
  );

  behaviour(
    "The registry counts its devices",
    "rest/api/iothub/service/statistics/get-device-statistics",
    async (deviceId) => {
      await register(deviceId, { status: "disabled" });
      const { responseBody } = await registry.getRegistryStatistics();
      assert.ok(responseBody.totalDeviceCount >= 1);
      assert.ok(responseBody.disabledDeviceCount >= 1);
    },
  );

  behaviour(
    "A service with a wrong key is refused: Unauthorized",
    "azure/iot-hub/iot-hub-dev-guide-sas#use-sas-tokens-from-services",
    async (deviceId) => {
      const stranger = service(Buffer.from("wrong").toString("base64"));
      await assert.rejects(stranger.registry.get(deviceId), { name: "UnauthorizedError" });
    },
  );

  behaviour(
    "An id with characters that ids cannot have is refused",
    "azure/iot-hub/iot-hub-devguide-identity-registry#device-identity-properties",
    async () => {
      await assert.rejects(register("no spaces"), { name: "ArgumentError" });
    },
  );
});
