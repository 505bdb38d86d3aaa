// Waiting for what happens elsewhere.

import { setTimeout as delay } from "node:timers/promises";

const PATIENCE_MS = 20_000;

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

/** What a promise gives, or an error when that takes too long. */
export async function within(promise, what, patienceMs = PATIENCE_MS) {
  const timer = new AbortController();
  const late = delay(patienceMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`waited ${patienceMs} ms in vain for ${what}`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}
