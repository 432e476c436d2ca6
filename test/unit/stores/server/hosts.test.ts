import assert from "node:assert/strict";
import { test } from "node:test";
import { Hosts, type HostChange } from "../../../../src/stores/server/hosts.ts";
import { serverWith } from "../../../support/config.ts";

function threeHosts() {
  let now = 0;
  const hosts = new Hosts(serverWith({ hosts: ["a", "b", "c"] }), () => now);
  const changes: HostChange[] = [];
  const pass = (ms: number) => {
    now += ms;
  };
  return { hosts, changes, follow: () => hosts.follow((change) => changes.push(change)), pass };
}

test("each host is in use, skipped for a reason, or not tried", () => {
  const { hosts } = threeHosts();
  hosts.fail("a", "a standby");
  hosts.use("b");
  assert.deepEqual(hosts.states, [
    { place: "a:5432", isCurrent: false, problem: "a standby" },
    { place: "b:5432", isCurrent: true, problem: undefined },
    { place: "c:5432", isCurrent: false, problem: undefined },
  ]);
});

test("the host in use comes first, one that has just failed last", () => {
  const { hosts, pass } = threeHosts();
  hosts.fail("a", "down");
  hosts.use("c");
  assert.deepEqual(hosts.inOrder(), ["c", "b", "a"]);
  pass(10_000);
  assert.deepEqual(hosts.inOrder(), ["c", "a", "b"]);
});

test("a change is told once, with both names and the reason", () => {
  const { hosts, changes, follow } = threeHosts();
  follow();
  assert.deepEqual(changes, []);
  hosts.fail("a", "a standby");
  hosts.use("b");
  hosts.use("b");
  hosts.fail("b", "connect ECONNREFUSED");
  hosts.use("c");
  assert.deepEqual(changes, [
    { host: "b:5432", from: undefined, reason: "a:5432: a standby" },
    { host: "c:5432", from: "b:5432", reason: "connect ECONNREFUSED" },
  ]);
});

test("a host that fails and is used again is no change", () => {
  const { hosts, changes, follow } = threeHosts();
  follow();
  hosts.use("a");
  hosts.fail("a", "no answer within 5 s");
  hosts.use("a");
  assert.equal(changes.length, 1);
});

test("who begins to follow is told of the host in use", () => {
  const { hosts, changes, follow } = threeHosts();
  hosts.use("b");
  follow();
  assert.deepEqual(changes, [{ host: "b:5432", from: undefined, reason: undefined }]);
});

test("another configuration of the same hosts goes on with the one in use, if it still has it", () => {
  const { hosts } = threeHosts();
  hosts.use("b");
  const same = new Hosts(serverWith({ hosts: ["a", "b"] }));
  same.goOnWith(hosts);
  assert.deepEqual([same.current, same.inOrder()], ["b", ["b", "a"]]);
  const others = new Hosts(serverWith({ hosts: ["a", "c"] }));
  others.goOnWith(hosts);
  assert.equal(others.current, undefined);
});
