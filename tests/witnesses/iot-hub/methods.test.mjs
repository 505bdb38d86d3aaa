import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { delay } from "../lib/waiting.mjs";
import { connected, keyOf, methods, register, withKey } from "./hub.mjs";

const call = async (deviceId, methodName, payload, more = {}) => {
  const { result } = await methods.invokeDeviceMethod(deviceId, { methodName, payload, ...more });
  return result;
};

/** Subscribes, which takes the SDK a moment that it tells nobody of. */
async function answering(client, name, answer) {
  client.onDeviceMethod(name, (request, response) => answer(request, response));
  await client.getTwin(); // behind the subscription on the same connection
}

const status = (expected) => (error) => {
  assert.equal(error.response?.statusCode, expected, error);
  return true;
};

feature("Direct methods", () => {
  behaviour(
    "A method is called with a payload and answered with a status and a payload",
    "azure/iot-hub/iot-hub-devguide-direct-methods#method-lifecycle",
    async (deviceId) => {
      const client = await connected(deviceId);
      await answering(client, "double", ({ payload }, response) => response.send(200, { doubled: payload.number * 2 }));
      assert.deepEqual(await call(deviceId, "double", { number: 21 }), { status: 200, payload: { doubled: 42 } });
    },
  );

  behaviour(
    "The status is the device's own, whatever it is",
    "azure/iot-hub/iot-hub-devguide-direct-methods#response",
    async (deviceId) => {
      const client = await connected(deviceId);
      await answering(client, "fail", (_, response) => response.send(543, { why: "engine is running" }));
      assert.deepEqual(await call(deviceId, "fail", null), { status: 543, payload: { why: "engine is running" } });
    },
  );

  behaviour(
    "Payloads may be any JSON, and absent",
    "azure/iot-hub/iot-hub-devguide-direct-methods#method-invocation",
    async (deviceId) => {
      const client = await connected(deviceId);
      await answering(client, "echo", ({ payload }, response) => response.send(200, payload));
      for (const payload of ["text", 7, [1, { deep: [] }], { ümlaut: "🚗" }]) {
        assert.deepEqual((await call(deviceId, "echo", payload)).payload, payload);
      }
      await answering(client, "nothing", (_, response) => response.send(200));
      assert.deepEqual(await call(deviceId, "nothing"), { status: 200, payload: null });
    },
  );

  behaviour(
    "Several calls are under way at once, and each gets its own answer",
    "azure/iot-hub/iot-hub-devguide-direct-methods#method-lifecycle",
    async (deviceId) => {
      const client = await connected(deviceId);
      await answering(client, "wait", async ({ payload }, response) => {
        await delay(payload.ms);
        response.send(200, payload);
      });
      const calls = [300, 10, 150].map((ms) => call(deviceId, "wait", { ms }));
      assert.deepEqual((await Promise.all(calls)).map(({ payload }) => payload.ms), [300, 10, 150]);
    },
  );

  behaviour(
    "A device that is not connected cannot be called: 404",
    "azure/iot-hub/iot-hub-devguide-direct-methods#response",
    async (deviceId) => {
      await register(deviceId);
      await assert.rejects(call(deviceId, "any", null), status(404));
    },
  );

  behaviour(
    "A device that does not exist cannot be called: 404",
    "azure/iot-hub/iot-hub-devguide-direct-methods#response",
    async (deviceId) => {
      await assert.rejects(call(deviceId, "any", null), status(404));
    },
  );

  behaviour(
    "A call that the device does not answer in time fails: 504",
    "azure/iot-hub/iot-hub-devguide-direct-methods#method-lifecycle",
    async (deviceId) => {
      const client = await connected(deviceId);
      await answering(client, "silent", () => {});
      // The SDK gives up at the same moment as the hub unless there is time for the connection as well.
      const limits = { responseTimeoutInSeconds: 5, connectTimeoutInSeconds: 5 };
      await assert.rejects(call(deviceId, "silent", null, limits), status(504));
    },
  );

  behaviour(
    "A call waits for a device that is away, as long as it is told to",
    "azure/iot-hub/iot-hub-devguide-direct-methods#method-invocation",
    async (deviceId) => {
      const client = await withKey(deviceId, keyOf(await register(deviceId)));
      const calling = call(deviceId, "hello", null, { connectTimeoutInSeconds: 20 });
      await delay(300);
      await answering(client, "hello", (_, response) => response.send(200, "here"));
      assert.deepEqual(await calling, { status: 200, payload: "here" });
    },
  );
});
