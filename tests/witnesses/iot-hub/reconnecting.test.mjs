import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { after } from "node:test";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { delay, eventually } from "../lib/waiting.mjs";
import { eventsOf } from "./events.mjs";
import { gateway, hostname, keyOf, Message, methods, register, registry, withKey } from "./hub.mjs";

const PORT = 8883;
const tunnels = new Set();

// A way to the hub that can break: devices take it as their gateway.
const way = createServer((near) => {
  const far = connect(PORT, hostname);
  const ends = [near, far];
  tunnels.add(ends);
  for (const [from, to] of [ends, [...ends].reverse()]) {
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => {
      to.destroy();
      tunnels.delete(ends);
    });
  }
});
const open = new Promise((resolve) => way.listen(PORT, gateway, resolve));
after(() => {
  breakDown();
  way.close();
});

function breakDown() {
  for (const ends of tunnels) for (const end of ends) end.destroy();
}

async function connectedByWay(deviceId) {
  await open;
  const client = await withKey(deviceId, keyOf(await register(deviceId)), `;GatewayHostName=${gateway}`);
  await client.open();
  return client;
}

// One after the other, since they break the way for all.
const AT_ONCE = 1;

const behaviours = () => {
  behaviour(
    "After its connection breaks a device is back by itself, with the subscriptions that it had",
    "azure/iot/iot-mqtt-connect-to-iot-hub#using-the-device-sdks",
    async (deviceId) => {
      const client = await connectedByWay(deviceId);
      const patches = [];
      (await client.getTwin()).on("properties.desired", (patch) => patches.push(patch));
      client.onDeviceMethod("hello", (_, response) => response.send(200, "still here"));
      await eventually(() => patches.length > 0); // the SDK tells of what is there when one begins to listen

      breakDown();
      await client.sendEvent(new Message("after the break"));
      assert.equal((await eventsOf(deviceId, 1))[0].body.toString(), "after the break");
      let sent = 0;
      await eventually(async () => {
        // The SDK is deaf for a moment after it is back, and a patch is sent only once.
        await registry.updateTwin(deviceId, { properties: { desired: { news: ++sent } } }, "*");
        await delay(300);
        return patches.some(({ news }) => news > 0);
      });
      const call = { methodName: "hello", connectTimeoutInSeconds: 10 };
      const { result } = await methods.invokeDeviceMethod(deviceId, call);
      assert.equal(result.payload, "still here");
    },
  );

  behaviour(
    "Messages that are sent while the way to the hub is broken arrive when it is whole again",
    "azure/iot/iot-mqtt-connect-to-iot-hub#using-the-device-sdks",
    async (deviceId) => {
      const client = await connectedByWay(deviceId);
      await client.sendEvent(new Message("0"));
      const sending = [];
      for (const number of [1, 2, 3]) {
        breakDown();
        sending.push(client.sendEvent(new Message(String(number))));
      }
      await Promise.all(sending);
      const bodies = () => eventsOf(deviceId, 4).then((events) => new Set(events.map(({ body }) => Number(body))));
      assert.deepEqual([...(await bodies())].sort(), [0, 1, 2, 3]);
    },
  );
};

feature("Reconnecting", behaviours, AT_ONCE);
