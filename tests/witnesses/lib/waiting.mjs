// Waiting for what happens elsewhere.

import { setTimeout as delay } from "node:timers/promises";

const PATIENCE_MS = 30_000;

export { delay };

/** The first truthy value that `look` gives; throws when there is none in time. */
export async function eventually(look, patienceMs = PATIENCE_MS) {
  const end = Date.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${patienceMs} ms in vain for: ${look}`);
    await delay(20);
  }
}
