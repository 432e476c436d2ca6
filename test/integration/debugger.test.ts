import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { it } from "node:test";
import { install } from "../support/installation.ts";
import { askPolicy, startServe } from "../support/serve.ts";

it("SIGUSR1 opens no debugger in the daemon", async () => {
  await using box = await install("sqlite");
  await using serve = await startServe(box);
  process.kill(serve.pid, "SIGUSR1");
  // Node starts its debugger in another thread: SIGHUP, which comes later, is dealt with long after
  for (let times = 0; times < 3; times++) {
    assert.match(await serve.reload(), / info reloaded$/);
    assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "DUNNO");
    assert.deepEqual(ports(serve.pid), []);
  }
  assert.doesNotMatch(serve.log(), /Debugger/);
});

/** The TCP ports at which a process listens. */
function ports(pid: number): readonly number[] {
  const directory = `/proc/${pid}/fd`;
  const open = new Set(readdirSync(directory).map((fd) => target(`${directory}/${fd}`)));
  const rows = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  return rows.flatMap((row) => {
    const [, local = "", , state, , , , , , inode] = row.trim().split(/\s+/);
    return state === "0A" && open.has(`socket:[${inode}]`)
      ? [Number.parseInt(local.split(":")[1] ?? "", 16)]
      : [];
  });
}

/** Where a link leads; undefined where it is gone: descriptors come and go. */
function target(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
