import assert from "node:assert/strict";
import { behaviour, feature } from "../lib/behaviour.mjs";
import { assertNothingComes, bodies, client, receiveAll, receiveOne } from "./namespace.mjs";

const DEFAULT_RULE = "$Default";

/** Puts rules (name, filter, action) in the place of the default one. */
async function ruled(topic, subscription, ...rules) {
  const manager = client.createRuleManager(topic, subscription);
  await manager.deleteRule(DEFAULT_RULE);
  for (const rule of rules) await manager.createRule(...rule);
}

/** What the subscription with these rules takes of these messages. */
async function taken(topic, rules, messages, count) {
  await ruled(topic, SUBSCRIPTION, ...rules);
  await client.createSender(topic).sendMessages(messages);
  return receiveAll(client.createReceiver(topic, SUBSCRIPTION), count);
}

async function rulesOf(manager) {
  const found = [];
  for await (const rule of manager.listRules()) found.push(rule);
  return found;
}

const names = async (manager) => (await rulesOf(manager)).map(({ name }) => name);

// Every behaviour has a topic for itself, with this subscription and another.
const SUBSCRIPTION = "first";

feature("Rules", () => {
  behaviour(
    "A new subscription has a default rule, which takes every message",
    "azure/service-bus-messaging/topic-filters",
    async () => {
      const [rule] = await rulesOf(client.createRuleManager("rules-default", SUBSCRIPTION));
      assert.equal(rule.name, DEFAULT_RULE);
      assert.equal(rule.filter.sqlExpression, "1=1");
      assert.deepEqual(rule.action, {});
    },
  );

  behaviour(
    "Rules are added, listed by their names with filter and action, and removed",
    "azure/service-bus-messaging/service-bus-amqp-request-response#rule-operations",
    async () => {
      const manager = client.createRuleManager("rules-listed", SUBSCRIPTION);
      const applicationProperties = { colour: "red", count: 3, used: true };
      const filter = { correlationId: "c", subject: "s", applicationProperties };
      await manager.createRule("by-sql", { sqlExpression: "speed > 100" }, { sqlExpression: "SET fast = TRUE" });
      await manager.createRule("by-correlation", filter);
      const [, correlation, sql] = await rulesOf(manager);
      assert.equal(sql.filter.sqlExpression, "speed > 100");
      assert.equal(sql.action.sqlExpression, "SET fast = TRUE");
      assert.equal(correlation.filter.correlationId, "c");
      assert.equal(correlation.filter.subject, "s");
      assert.deepEqual(correlation.filter.applicationProperties, applicationProperties);
      assert.deepEqual(await names(manager), [DEFAULT_RULE, "by-correlation", "by-sql"]);
      await manager.deleteRule("by-sql");
      assert.deepEqual(await names(manager), [DEFAULT_RULE, "by-correlation"]);
    },
  );

  behaviour(
    "A rule with a name that is taken is refused: MessagingEntityAlreadyExists",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async () => {
      const manager = client.createRuleManager("rules-default", SUBSCRIPTION);
      const again = manager.createRule(DEFAULT_RULE, { sqlExpression: "1=1" });
      await assert.rejects(again, { code: "MessagingEntityAlreadyExists" });
    },
  );

  behaviour(
    "A rule that is not there cannot be removed: MessagingEntityNotFound",
    "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception",
    async () => {
      const removing = client.createRuleManager("rules-default", SUBSCRIPTION).deleteRule("no-such");
      await assert.rejects(removing, { code: "MessagingEntityNotFound" });
    },
  );

  behaviour(
    "A SQL expression that cannot be understood is refused",
    "azure/service-bus-messaging/service-bus-messaging-sql-filter",
    async () => {
      const manager = client.createRuleManager("rules-default", SUBSCRIPTION);
      await assert.rejects(manager.createRule("bad", { sqlExpression: "colour == = 'red'" }));
      assert.deepEqual(await names(manager), [DEFAULT_RULE]);
    },
  );

  behaviour(
    "A SQL filter chooses by application properties and, with the prefix sys., by system properties",
    "azure/service-bus-messaging/topic-filters#sql-filters",
    async () => {
      const filter = { sqlExpression: "sys.Label = 'drive' AND speed > 100 AND NOT EXISTS(test)" };
      const message = (body, subject, applicationProperties) => ({ body, subject, applicationProperties });
      const sent = [
        message("slow", "drive", { speed: 90 }),
        message("parked", "park", { speed: 110 }),
        message("fast", "drive", { speed: 110 }),
        message("test", "drive", { speed: 110, test: true }),
        message("faster", "drive", { speed: 111.5 }),
      ];
      assert.deepEqual(bodies(await taken("rules-sql", [["fast", filter]], sent, 2)), ["fast", "faster"]);
    },
  );

  behaviour(
    "SQL filters match with LIKE, IN and IS NULL",
    "azure/service-bus-messaging/service-bus-messaging-sql-filter",
    async () => {
      const filter = { sqlExpression: "name LIKE 'a_c%' OR colour IN ('red', 'blue') OR gone IS NULL" };
      const sent = [
        { body: 1, applicationProperties: { name: "abcd", gone: 1 } },
        { body: 2, applicationProperties: { name: "x", colour: "green", gone: 1 } },
        { body: 3, applicationProperties: { name: "x", colour: "blue", gone: 1 } },
        { body: 4, applicationProperties: { name: "x", colour: "green" } },
      ];
      assert.deepEqual(bodies(await taken("rules-patterns", [["pattern", filter]], sent, 3)), [1, 3, 4]);
    },
  );

  behaviour(
    "A correlation filter matches when all its properties are equal, the case of letters counting",
    "azure/service-bus-messaging/topic-filters#correlation-filters",
    async () => {
      const filter = { subject: "paint", applicationProperties: { colour: "red" } };
      const message = (body, colour, subject = "paint") => ({ body, subject, applicationProperties: { colour } });
      const sent = [message(1, "blue"), message(2, "Red"), message(3, "red", "other"), message(4, "red")];
      assert.deepEqual(bodies(await taken("rules-correlation", [["red", filter]], sent, 1)), [4]);
    },
  );

  behaviour(
    "Several rules without actions take a message once",
    "azure/service-bus-messaging/topic-filters",
    async () => {
      const rules = [
        ["one", { sqlExpression: "n > 0" }],
        ["two", { sqlExpression: "n > 1" }],
      ];
      const sent = [{ body: "both", applicationProperties: { n: 2 } }];
      assert.deepEqual(bodies(await taken("rules-either", rules, sent, 1)), ["both"]);
      await assertNothingComes(client.createReceiver("rules-either", SUBSCRIPTION));
    },
  );

  behaviour(
    "Each rule with an action makes a copy of its own, which says the rule's name; other copies are unchanged",
    "azure/service-bus-messaging/topic-filters#actions",
    async () => {
      const rules = [
        ["doubled", { sqlExpression: "quantity > 0" }, { sqlExpression: "SET quantity = quantity * 2; REMOVE secret" }],
        ["plain", { sqlExpression: "quantity > 0" }],
      ];
      const applicationProperties = { quantity: 4, secret: "s" };
      const messages = await taken("rules-actions", rules, [{ body: "order", applicationProperties }], 2);
      const copies = messages.map((message) => message.applicationProperties);
      copies.sort((one, other) => one.quantity - other.quantity);
      assert.deepEqual(copies, [applicationProperties, { quantity: 8, RuleName: "doubled" }]);
      const elsewhere = await receiveOne(client.createReceiver("rules-actions", "second"));
      assert.deepEqual(elsewhere.applicationProperties, applicationProperties);
    },
  );

  behaviour(
    "A subscription without rules takes nothing",
    "azure/service-bus-messaging/topic-filters#filters",
    async () => {
      await ruled("rules-none", SUBSCRIPTION);
      await client.createSender("rules-none").sendMessages({ body: "unwanted" });
      assert.equal((await receiveOne(client.createReceiver("rules-none", "second"))).body, "unwanted");
      await assertNothingComes(client.createReceiver("rules-none", SUBSCRIPTION));
    },
  );
});
