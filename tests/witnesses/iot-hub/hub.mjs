// The hub under test: services and devices by the unmodified SDKs.

import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { after } from "node:test";
import common from "azure-iot-common";
import device from "azure-iot-device";
import { Mqtt } from "azure-iot-device-mqtt";
import http from "azure-iot-http-base";
import iothub from "azure-iothub";
import { required } from "../lib/behaviour.mjs";
import { eventually } from "../lib/waiting.mjs";

export const { Message, SharedAccessSignature } = device;
const { Client: DeviceClient } = device;

const { HostName, SharedAccessKeyName, SharedAccessKey } = iothub.ConnectionString.parse(required("IOT_HUB"));
const [hostname, port] = HostName.split(":");
export { hostname };
export const gateway = required("IOT_GATEWAY"); // an address that the hub's certificate covers too
export const ca = readFileSync(required("IOT_HUB_CA"), "utf8");

// ---- services

const agent = new Agent({ ca, keepAlive: true });
agent.defaultPort = Number(port); // the SDK knows no port
after(() => agent.destroy());

/** A client of the registry and of twins, and one for direct methods. */
export function service(key = SharedAccessKey) {
  const sharedAccessSignature = iothub.SharedAccessSignature.create(hostname, SharedAccessKeyName, key, Date.now());
  const config = { host: hostname, sharedAccessSignature };
  const rest = new http.RestApiClient(config, "witness");
  const registry = new iothub.Registry(config, rest);
  const methods = new iothub.Client(iothub.Amqp, rest);
  rest.setOptions({ http: { agent } }); // the clients have put agents of their own there
  return { registry, methods };
}

export const { registry, methods } = service();

/** A device that proves itself by keys, or as given. */
export async function register(deviceId, more = {}) {
  return (await registry.create({ deviceId, ...more })).responseBody;
}

/** An identity or a twin as it is now. */
export const identityOf = async (deviceId) => (await registry.get(deviceId)).responseBody;
export const twinOf = async (deviceId) => (await registry.getTwin(deviceId)).responseBody;

// ---- devices

export const keyOf = (identity) => identity.authentication.symmetricKey.primaryKey;

export function connectionString(deviceId, key, more = "") {
  return `HostName=${hostname};DeviceId=${deviceId};SharedAccessKey=${key}${more}`;
}

async function prepared(client, options = {}) {
  await client.setOptions({ ca, ...options });
  after(() => client.close().catch(() => {}));
  return client;
}

/** A device with its key, not connected yet. */
export function withKey(deviceId, key, more) {
  return prepared(DeviceClient.fromConnectionString(connectionString(deviceId, key, more), Mqtt));
}

/** A device with one of the certificates that were made for the witnesses, not connected yet. */
export function withCertificate(deviceId, name) {
  const given = `HostName=${hostname};DeviceId=${deviceId};x509=true`;
  return prepared(DeviceClient.fromConnectionString(given, Mqtt), certificate(name));
}

export function withToken(token) {
  return prepared(DeviceClient.fromSharedAccessSignature(token, Mqtt));
}

export function certificate(name) {
  const file = `${required("IOT_CERTIFICATES")}/${name}`;
  return { cert: readFileSync(`${file}.pem`, "utf8"), key: readFileSync(`${file}.key`, "utf8") };
}

/** Waits, when it is called, until the client of a device says that it is disconnected; it does not try again. */
export function disconnection(client) {
  client.setRetryPolicy(new common.NoRetry());
  let heard = false;
  client.on("disconnect", () => {
    heard = true;
  });
  return () => eventually(() => heard);
}

/** A new device that is connected. */
export async function connected(deviceId) {
  const client = await withKey(deviceId, keyOf(await register(deviceId)));
  await client.open();
  return client;
}
