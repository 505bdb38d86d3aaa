// Node's test runner, as one JSON document a line: what `running.py` reads.

import { inspect } from "node:util";

export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    const failure = type === "test:fail" ? inspect(data.details.error.cause ?? data.details.error) : null;
    yield `${JSON.stringify({ name: data.name, failure })}\n`;
  }
}
