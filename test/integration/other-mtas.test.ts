/**
 * What the documentation has for sendmail, Exim and tcpserver, as it stands there, on the real
 * programs.
 */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { freePort } from "../support/free-port.ts";
import { install } from "../support/installation.ts";
import { startExim, startSendmail, type OtherMta } from "../support/other-mta.ts";
import { examples } from "../support/docs.ts";
import { startServerProcess } from "../support/server-process.ts";
import { startServe } from "../support/serve.ts";

const ELSEWHERE = "somebody@elsewhere.example";
const OURS = "somebody@example.org";

function only(language: string): string {
  const [text, ...others] = examples(language);
  assert.ok(text !== undefined && others.length === 0, `one example in ${language}`);
  return text;
}

async function codes(mta: OtherMta): Promise<readonly number[]> {
  const asked = [
    { from: "127.0.0.5", to: ELSEWHERE },
    { from: "127.0.0.6", to: ELSEWHERE },
    { from: "127.0.0.6", to: OURS },
  ];
  return Promise.all(asked.map(async (message) => (await mta.rcpt(message)).code));
}

test("sendmail relays for whoever has logged in, by IPv6 too, and takes mail while the daemon is down", async () => {
  await using box = await install("sqlite");
  await using daemon = await startServe(box);
  for (const address of ["127.0.0.5", "2001:db8::7"]) await box.popbsmtp("allow", address);
  await using sendmail = await startSendmail(only("m4"), dirname(daemon.socketmap));
  assert.deepEqual(await codes(sendmail), [250, 550, 250]);
  // it writes addresses out in full, with a tag in front
  assert.equal(await sendmail.rule("IPv6:2001:db8:0:0:0:0:0:7"), "$# OK");
  assert.notEqual(await sendmail.rule("IPv6:2001:db8:0:0:0:0:0:8"), "$# OK");
  assert.equal(await sendmail.rule("127.0.0.5"), "$# OK");
  await daemon.stop();
  assert.deepEqual(await codes(sendmail), [550, 550, 250]);
});

test("Exim relays for whoever has logged in, and its panic log stays empty whatever the daemon does", async () => {
  await using box = await install("sqlite");
  await using daemon = await startServe(box);
  await box.popbsmtp("allow", "127.0.0.5");
  await using exim = await startExim(only("exim"), dirname(daemon.socketmap));
  assert.deepEqual(await codes(exim), [250, 550, 250]);
  daemon.pause();
  assert.deepEqual(await codes(exim), [550, 550, 250]);
  daemon.resume();
  // its socket stays, and nothing listens there
  await daemon.kill9();
  assert.deepEqual(await codes(exim), [550, 550, 250]);
  await daemon.start();
  await daemon.stop();
  assert.deepEqual(await codes(exim), [550, 550, 250]);
  assert.equal(exim.log("panic"), "");
});

test("tcpserver runs the SMTP server as qmail's user, not as root", async () => {
  await using box = await install("sqlite");
  const { uid, gid, name } = box.user;
  const [line] = examples("sh").flatMap(
    (text) => /^tcpserver .*popbsmtp relay.*$/m.exec(text) ?? [],
  );
  assert.ok(line !== undefined);
  const smtpd = join(box.directory, "smtpd");
  writeFileSync(smtpd, "#!/bin/sh\necho 220 $(id -u) $(id -g)\n");
  chmodSync(smtpd, 0o755);
  const port = await freePort();
  // as it stands there, but for who, where and what
  const command = line
    .replaceAll("qmaild", name)
    .replace(" 0 25 ", ` -HRl0 127.0.0.1 ${String(port)} `)
    .replace("popbsmtp relay", `${box.program} --config ${box.config} relay`)
    .replace("/var/qmail/bin/qmail-smtpd", smtpd);
  const greeting = async () => {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    return text;
  };
  const server = await startServerProcess("/bin/bash", ["-c", command], {
    logFile: join(box.directory, "tcpserver.log"),
    cwd: box.directory,
    ready: async () => (await greeting()) !== "",
  });
  try {
    assert.equal(await greeting(), `220 ${String(uid)} ${String(gid)}\n`);
  } finally {
    await server.kill();
  }
});
