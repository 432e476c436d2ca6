/**
 * A service that is handed its sockets, as the daemon is, and says at each connection what the
 * socket is for:
 *
 *     handed-over.ts [POLICY]
 *
 * POLICY is the path of a socket that it is to make itself. It logs to stderr, as Dovecot's log
 * process takes it, and ends when Dovecot's master says so.
 */
import { writeSync } from "node:fs";
import { DovecotMaster } from "../../../../src/daemon/sockets/dovecot-master.ts";
import { Listeners } from "../../../../src/daemon/sockets/listeners.ts";
import { dovecotLine } from "../../../../src/daemon/log/log-line.ts";
import { createLog } from "../../../../src/daemon/log/log.ts";
import { systemdSockets } from "../../../../src/daemon/sockets/systemd.ts";
import { serveWith } from "../../../support/config.ts";

const serve = serveWith({
  imap: { path: "/nonexistent/not-used-where-it-is-handed-over" },
  policy: process.argv[2] === undefined ? [] : [{ path: process.argv[2] }],
});

const log = createLog({
  level: "info",
  style: dovecotLine(process.pid),
  write: (line) => writeSync(2, line) > 0,
});
const master = DovecotMaster.from(process.env);
const listeners = new Listeners({ onLogins: (open) => master?.connections(open), log });
for (const handed of master?.sockets ?? systemdSockets(process.env)) await listeners.take(handed);
await listeners.open(serve, { owner: master?.account, patience: 5_000, mayMiss: () => false });
listeners.start((socket, role) => {
  socket.write(`${role} ${process.pid}\n`);
  socket.on("end", () => socket.end()).resume();
});
master?.attend();
void master?.ended.then(async () => {
  log.info("ending");
  await listeners.close(1_000);
  process.exit();
});
const left = Object.keys(process.env).filter((name) =>
  /^(?:DOVECOT_CHILD|GENERATION|CLIENT_LIMIT|SOCKET|RESTRICT_SET|LISTEN_)/.test(name),
);
log.info("ready", {
  sockets: listeners.list.map(({ where }) => where).join(","),
  left: left.join(","),
});
