import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { eventually } from "../lib/waiting.mjs";
import {
  certificate,
  connected,
  disconnection,
  hostname,
  identityOf,
  keyOf,
  register,
  registry,
  SharedAccessSignature,
  withCertificate,
  withKey,
  withToken,
} from "./hub.mjs";

/** The hub says no to a device: nothing else is wrong. */
async function assertRefused(preparing) {
  const client = await preparing;
  await assert.rejects(client.open(), /refused: not authorized/i);
}

const seconds = () => Math.floor(Date.now() / 1000);

function thumbprint(name, algorithm) {
  return new X509Certificate(certificate(name).cert)[algorithm].replaceAll(":", "");
}

const selfSigned = (primaryThumbprint) => ({
  authentication: { type: "selfSigned", x509Thumbprint: { primaryThumbprint } },
});

feature("Connecting", () => {
  behaviour(
    "A device connects by a token that it signs with its key; the registry knows whether it is connected",
    "azure/iot-hub/iot-hub-dev-guide-sas#use-sas-tokens-as-a-device",
    async (deviceId) => {
      const client = await connected(deviceId);
      assert.equal((await identityOf(deviceId)).connectionState, "Connected");
      await client.close();
      await eventually(async () => (await identityOf(deviceId)).connectionState === "Disconnected");
    },
  );

  behaviour(
    "The secondary key is as good as the primary one",
    "azure/iot-hub/iot-hub-devguide-identity-registry#device-identity-properties",
    async (deviceId) => {
      const { authentication } = await register(deviceId);
      await (await withKey(deviceId, authentication.symmetricKey.secondaryKey)).open();
    },
  );

  behaviour(
    "A device connects by a token that somebody else has signed for it",
    "azure/iot-hub/iot-hub-dev-guide-sas#use-sas-tokens-as-a-device",
    async (deviceId) => {
      const key = keyOf(await register(deviceId));
      const token = SharedAccessSignature.create(hostname, deviceId, key, seconds() + 600).toString();
      await (await withToken(token)).open();
    },
  );

  behaviour(
    "A token that has expired is refused",
    "azure/iot-hub/iot-hub-dev-guide-sas#sas-token-structure",
    async (deviceId) => {
      const key = keyOf(await register(deviceId));
      const token = SharedAccessSignature.create(hostname, deviceId, key, seconds() - 600).toString();
      await assertRefused(withToken(token));
    },
  );

  behaviour(
    "A token for another device is refused",
    "azure/iot-hub/iot-hub-dev-guide-sas#sas-token-structure",
    async (deviceId) => {
      const key = keyOf(await register(deviceId));
      await register(`${deviceId}-other`);
      await assertRefused(withKey(`${deviceId}-other`, key));
    },
  );

  behaviour(
    "A device that is not registered is refused",
    "azure/iot-hub/iot-hub-devguide-identity-registry",
    async (deviceId) => {
      const key = Buffer.alloc(32, 1).toString("base64");
      await assertRefused(withKey(deviceId, key));
    },
  );

  behaviour(
    "A disabled device is refused until it is enabled again",
    "azure/iot-hub/iot-hub-devguide-identity-registry#disable-devices",
    async (deviceId) => {
      const key = keyOf(await register(deviceId, { status: "disabled" }));
      await assertRefused(withKey(deviceId, key));
      await registry.update({ ...(await identityOf(deviceId)), status: "enabled" });
      await (await withKey(deviceId, key)).open();
    },
  );

  behaviour(
    "A device that is disabled while it is connected is cut off",
    "azure/iot-hub/iot-hub-devguide-identity-registry#disable-devices",
    async (deviceId) => {
      const client = await connected(deviceId);
      const gone = disconnection(client);
      await registry.update({ ...(await identityOf(deviceId)), status: "disabled" });
      await gone();
      assert.equal((await identityOf(deviceId)).connectionState, "Disconnected");
    },
  );

  behaviour(
    "After its keys are changed a device connects with the new ones only",
    "azure/iot-hub/iot-hub-devguide-identity-registry#device-identity-properties",
    async (deviceId) => {
      const identity = await register(deviceId);
      const [primaryKey, secondaryKey] = [2, 3].map((byte) => Buffer.alloc(32, byte).toString("base64"));
      const authentication = { type: "sas", symmetricKey: { primaryKey, secondaryKey } };
      await registry.update({ ...identity, authentication });
      await assertRefused(withKey(deviceId, keyOf(identity)));
      await (await withKey(deviceId, primaryKey)).open();
    },
  );

  behaviour(
    "A device connects by a certificate of a registered CA whose subject is its id",
    "azure/iot-hub/iot-hub-x509ca-concept",
    async () => {
      await register("issued-car", { authentication: { type: "certificateAuthority" } });
      await (await withCertificate("issued-car", "issued")).open();
      assert.equal((await identityOf("issued-car")).connectionState, "Connected");
    },
  );

  behaviour(
    "A CA's certificate for another device is refused",
    "azure/iot-hub/iot-hub-x509ca-concept",
    async (deviceId) => {
      await register(deviceId, { authentication: { type: "certificateAuthority" } });
      await assertRefused(withCertificate(deviceId, "issued"));
    },
  );

  behaviour(
    "A CA's certificate that has expired is refused",
    "azure/iot-hub/iot-hub-x509ca-concept",
    async () => {
      await register("expired-car", { authentication: { type: "certificateAuthority" } });
      await assertRefused(withCertificate("expired-car", "expired"));
    },
  );

  behaviour(
    "A device connects by a self-signed certificate with a registered thumbprint, SHA-1 or SHA-256",
    "azure/iot-hub/authenticate-authorize-x509",
    async (deviceId) => {
      for (const algorithm of ["fingerprint", "fingerprint256"]) {
        const id = `${deviceId}-${algorithm}`;
        await register(id, selfSigned(thumbprint("self-signed", algorithm)));
        await (await withCertificate(id, "self-signed")).open();
      }
    },
  );

  behaviour(
    "A self-signed certificate with another thumbprint is refused",
    "azure/iot-hub/authenticate-authorize-x509",
    async (deviceId) => {
      await register(deviceId, selfSigned(thumbprint("issued", "fingerprint")));
      await assertRefused(withCertificate(deviceId, "self-signed"));
    },
  );

  behaviour(
    "A device has one connection: a new one takes the place of the old",
    "azure/iot/iot-mqtt-connect-to-iot-hub#using-the-device-sdks",
    async (deviceId) => {
      const key = keyOf(await register(deviceId));
      const [first, second] = [await withKey(deviceId, key), await withKey(deviceId, key)];
      await first.open();
      const gone = disconnection(first);
      await second.open();
      await gone();
      assert.equal((await identityOf(deviceId)).connectionState, "Connected");
    },
  );
});
