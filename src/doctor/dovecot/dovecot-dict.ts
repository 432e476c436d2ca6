/**
 * Dovecot's last_login plugin, which reports logins to `popbsmtp serve` without delaying them.
 */
import { statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { DOVECOT_GROUP } from "../../daemon/sockets/listeners.ts";
import { listenerOf } from "../../dovecot/doveconf.ts";
import {
  lastLoginSocket,
  pluginsOf,
  readLastLoginKey,
  type InstalledDovecot,
} from "../../dovecot/read-dovecot.ts";
import { lastLoginKey, lastLoginKeyLines, PLUGIN, pluginLines } from "../../dovecot/release.ts";
import { isRoot } from "../../system/privileges.ts";
import { isStopped, reloadCommand, socketPath } from "./dovecot-process.ts";
import { findServe, setUpFindings } from "./dovecot-service.ts";
import { ok, problem, type Finding } from "../findings/finding.ts";
import { DICT, endIt, NO_ANSWER, question } from "../findings/question.ts";
import type { Subject } from "../findings/subject.ts";
import { popbsmtp } from "../findings/words.ts";

/**
 * The socket to which the last_login plugin reports, as Dovecot names it: relative to base_dir, or
 * absolute. undefined if the plugin is not set up, or reports to another program.
 */
export function findDict(
  dovecot: InstalledDovecot,
  protocol: string,
  { config }: Subject,
): string | undefined {
  const socket = lastLoginSocket(dovecot, protocol);
  if (socket === undefined) return undefined;
  const { dict } = config.serve;
  const isConfigured = dict !== undefined && "path" in dict && dict.path === socket;
  return isConfigured || socket.includes("popbsmtp") ? socket : undefined;
}

/** Whether the logins of a protocol reach the daemon. */
export async function dictFindings(
  dovecot: InstalledDovecot,
  socket: string,
  protocol: string,
  subject: Subject,
): Promise<readonly Finding[]> {
  const { root } = dovecot;
  const found = [...pluginFindings(dovecot, protocol), ...(await keyFindings(dovecot, protocol))];
  const listener = listenerOf(root, socket);
  const serve = listener === undefined ? undefined : findServe(root, listener);
  if (serve !== undefined) {
    const told = setUpFindings(root, serve, subject);
    // the plugin does not make logins wait
    const harm = ["every login is refused", "no login is recorded"] as const;
    found.push(...told.map((each) => ({ ...each, text: each.text.replace(...harm) })));
  } else if (!isAbsolute(socket)) {
    const text = `${protocol}: nothing listens on the socket ${socket}: no login is recorded`;
    found.push(problem(text, `${popbsmtp(subject.config)} print dovecot    # the lines`));
  }
  // report a fault once
  if (found.some(({ level }) => level === "problem") || isStopped(root)) return found;
  const path = socketPath(root, socket);
  if (serve === undefined) found.push(...modeFindings(path, protocol, subject));
  if (found.some(({ level }) => level === "problem")) return found;
  return [...found, await answers(path, protocol, serve !== undefined, subject)];
}

function pluginFindings(dovecot: InstalledDovecot, protocol: string): readonly Finding[] {
  if (pluginsOf(dovecot, protocol).includes(PLUGIN)) return [];
  const [first = "", ...others] = pluginLines(protocol, dovecot.release);
  return [
    problem(
      `${protocol}: no login is recorded: the effective mail_plugins does not contain ${PLUGIN}`,
      `${first}    # in the file of conf.d that is read last`,
      ...others,
    ),
  ];
}

async function keyFindings(
  dovecot: InstalledDovecot,
  protocol: string,
): Promise<readonly Finding[]> {
  const key = await readLastLoginKey(dovecot, protocol);
  const right = lastLoginKey(dovecot.release);
  if (key === undefined || key === right || shortened(key) === right) return [];
  const text = `last_login_key is ${key === "" ? "not set" : key}: no login is recorded`;
  return [problem(text, ...lastLoginKeyLines(dovecot.release))];
}

/** Replaces the long names of variables, up to Dovecot 2.3, by the short ones. */
function shortened(key: string): string {
  return key.replace("%{service}", "%s").replace("%{rip}", "%r").replace("%{user}", "%u");
}

/**
 * Whether Dovecot's mail processes, which connect as the mail user in one of Dovecot's groups, can
 * connect to a socket that Dovecot has not made.
 */
function modeFindings(path: string, protocol: string, { config }: Subject): readonly Finding[] {
  const socket = statSync(path, { throwIfNoEntry: false });
  if (socket === undefined) return [];
  const right = [
    `SocketGroup=${config.serve.dictGroup ?? DOVECOT_GROUP}    # in popbsmtp-dict.socket, as printed by: ${popbsmtp(config)} print systemd dict`,
    "SocketMode=0660",
  ];
  if ((socket.mode & 0o002) !== 0) {
    const text = `${protocol}: any process that can connect to ${path} can authorize any address`;
    return [problem(text, ...right)];
  }
  if ((socket.mode & 0o060) === 0o060 && socket.gid !== 0) return [];
  const mode = (socket.mode & 0o777).toString(8).padStart(4, "0");
  const text = `${protocol}: Dovecot's mail processes cannot connect to ${path} (mode ${mode}): no login is recorded`;
  return [problem(text, ...right)];
}

async function answers(
  path: string,
  protocol: string,
  isDovecots: boolean,
  subject: Subject,
): Promise<Finding> {
  const told = `${protocol}: each login is reported to popbsmtp serve`;
  if (!isRoot()) return ok(`${told} (${path})`);
  const asked = await question({ path }, DICT.question);
  if ("answer" in asked) return ok(`${told}, which listens (${path})`);
  if (asked.why === NO_ANSWER) {
    const text = `${protocol}: ${NO_ANSWER} at ${path}: logins proceed, but are not recorded until it answers`;
    return problem(text, ...endIt(subject.daemon));
  }
  const slow = asked.why === "ECONNREFUSED" ? ", and each takes 3 s longer" : "";
  return problem(
    `${protocol}: nothing listens at ${path} (${asked.why}): logins proceed${slow}, but are not recorded until something does`,
    isDovecots
      ? `${reloadCommand(subject)}    # doveadm log errors shows why popbsmtp serve ended, if it did`
      : `systemctl start popbsmtp    # the unit: ${popbsmtp(subject.config)} print systemd`,
  );
}
