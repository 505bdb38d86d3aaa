// How a witness states what it holds the local cloud to.

import { basename } from "node:path";
import { describe, test } from "node:test";

// Most of a behaviour's time is the SDK waiting: several at once cost little more than one.
const AT_ONCE = 8;
const TIMEOUT_MS = 60_000;

const file = basename(process.argv[1], ".test.mjs");
let stated = 0;

/** Behaviours about the same thing. Unless told otherwise they run side by side, each with entities of its own. */
export function feature(title, behaviours, atOnce = AT_ONCE) {
  describe(title, { concurrency: atOnce }, behaviours);
}

/**
 * A documented behaviour: what it is, the page of Microsoft Learn (with section) or whole address that says so, and the
 * check, which gets the name of a queue or event hub that nobody else uses.
 *
 * Statement and reference are plain double-quoted texts: `listing.py` finds them without running anything.
 */
export function behaviour(statement, reference, check) {
  const entity = `${file}-${stated++}`;
  test(statement, { timeout: TIMEOUT_MS }, () => check(entity));
}

export function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: the witnesses run by pytest`);
  return value;
}
