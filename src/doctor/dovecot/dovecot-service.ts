/**
 * `popbsmtp serve` for Dovecot's post-login requests: a service of Dovecot's, or a daemon with
 * sockets of its own.
 */
import { isAbsolute } from "node:path";
import { roleNamed } from "../../daemon/sockets/roles.ts";
import { isRoot } from "../../system/privileges.ts";
import { addressSpace, NODE_BYTES, settingOf, type Section } from "../../dovecot/doveconf.ts";
import { NO_LIMIT, type MailProtocol } from "../../dovecot/release.ts";
import { isStopped, reloadCommand, socketPath } from "./dovecot-process.ts";
import { ok, problem, warning, type Finding } from "../findings/finding.ts";
import { endIt, NO_ANSWER, POST_LOGIN, question } from "../findings/question.ts";
import type { Subject } from "../findings/subject.ts";
import { popbsmtp } from "../findings/words.ts";
import {
  commandLine,
  findWrapper,
  wrapperFindings,
  type Wrapper,
} from "../findings/wrapper-command.ts";

/** A Dovecot service that runs `popbsmtp serve`, and its command line. */
export interface Serve {
  readonly service: Section;
  readonly command: Wrapper;
}

/** The protocol whose logins are reported, and the socket. */
interface Asking {
  readonly protocol: MailProtocol;
  /** As Dovecot names the socket: relative to base_dir, or absolute. */
  readonly socket: string;
}

/** undefined if the service runs another program. */
export function findServe(root: Section, service: Section): Serve | undefined {
  const command = findWrapper(settingOf(root, service, "executable").split(/\s+/));
  return command?.chain[0] === "serve" ? { service, command } : undefined;
}

/** Whether a socket outside Dovecot's services is the daemon's, as configured. */
export function isServeSocket(
  socket: string,
  protocol: MailProtocol,
  { config }: Subject,
): boolean {
  const own = config.serve[protocol];
  const isConfigured = own !== undefined && "path" in own && own.path === socket;
  return isAbsolute(socket) && (isConfigured || socket.includes("popbsmtp"));
}

/** Whether the service is set up so that it can work. */
export function setUpFindings(
  root: Section,
  { service, command }: Serve,
  subject: Subject,
): readonly Finding[] {
  const set: Setter = (line) => [`${service.name} {`, `  ${line}`, "}"];
  const write = (right: Wrapper) => set(`executable = ${commandLine(right)}`);
  return [
    ...wrapperFindings(command, subject, service.name, write),
    ...processFindings(root, service, subject.config.user, set),
    ...listenerFindings(service, set),
  ];
}

/** Whether the service is set up, and answers. */
export async function serviceFindings(
  root: Section,
  serve: Serve,
  { protocol, socket }: Asking,
  subject: Subject,
): Promise<readonly Finding[]> {
  const found = [...setUpFindings(root, serve, subject), ...roleFindings({ protocol, socket })];
  // report a fault once
  if (found.some(({ level }) => level === "problem")) return found;
  if (isStopped(root)) return found;
  const remedy = `${reloadCommand(subject)}    # doveadm log errors shows why popbsmtp serve ended, if it did`;
  const consequence = "Dovecot has not read its configuration, or popbsmtp serve does not start";
  const path = socketPath(root, socket);
  return [...found, await answers(path, protocol, subject, consequence, [remedy])];
}

/** Whether a daemon answers that Dovecot has not started. */
export async function ownSocketFindings(
  socket: string,
  protocol: MailProtocol,
  subject: Subject,
): Promise<readonly Finding[]> {
  const { config, daemon } = subject;
  const roles = roleFindings({ protocol, socket });
  if (roles.length > 0) return roles;
  const remedy =
    daemon === undefined
      ? `systemctl start popbsmtp    # the unit: ${popbsmtp(config)} print systemd`
      : `${popbsmtp(config)} serve --check    # where process ${String(daemon)} listens`;
  return [await answers(socket, protocol, subject, "every login is refused", [remedy])];
}

/** Returns the configuration lines that set a setting of a service: `user = dovecot`. */
export type Setter = (line: string) => readonly string[];

function processFindings(
  root: Section,
  service: Section,
  user: string,
  set: Setter,
): readonly Finding[] {
  const { name } = service;
  const number = (key: string) => Number(service.settings.get(key) ?? 0);
  const findings: Finding[] = [];
  const theirs = settingOf(root, service, "user") || "root";
  if (theirs !== "root" && theirs !== user) {
    const text = `${name}: becomes ${theirs}, who may not drain the spool of ${user}`;
    findings.push(problem(text, ...set("user = root")));
  }
  if (service.settings.get("drop_priv_before_exec") === "yes") {
    const text = `${name}: must be started as root: every login is refused`;
    findings.push(problem(text, ...set("drop_priv_before_exec = no")));
  }
  const limit = addressSpace(root, service);
  if (limit !== undefined && limit < NODE_BYTES) {
    const text = `${name}: does not start: vsz_limit is ${String(Math.round(limit / 1024 / 1024))} MB, and Node needs more: every login is refused`;
    findings.push(problem(text, ...set(NO_LIMIT)));
  }
  if (number("client_limit") === 1) {
    const text = `${name}: client_limit is 1, but one process serves every login: logins are refused`;
    findings.push(problem(text, ...set("client_limit = 1000")));
  }
  if (number("process_limit") !== 1) {
    const text = `${name}: more than one process may be started, but a spool can have only one daemon`;
    findings.push(problem(text, ...set("process_limit = 1")));
  }
  if (number("process_min_avail") !== 1) {
    const text = `${name}: starts only at a login and exits when idle: meanwhile the spool is not drained and Postfix gets no answers`;
    findings.push(warning(text, ...set("process_min_avail = 1")));
  }
  return findings;
}

/** The name of each socket must match its protocol, and only Dovecot may report logins. */
function listenerFindings({ name, sections }: Section, set: Setter): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { name: listener, settings } of sections) {
    const [kind = "", socket = ""] = listener.split(/\s+/);
    if (!kind.endsWith("_listener")) continue;
    const role = roleNamed(socket);
    if (role === undefined) {
      const text = `${name}: does not start: the name ${socket} does not say what it is for: every login is refused`;
      findings.push(problem(text, ...set(`${kind} popbsmtp-imap {    # or -pop3, -policy, ...`)));
    }
    const mode = Number.parseInt(settings.get("mode") ?? "0600", 8);
    if (
      (role === "imap" || role === "pop3") &&
      (kind === "inet_listener" || (mode & 0o002) !== 0)
    ) {
      findings.push(openToAll(name, socket, set(`unix_listener ${socket} { mode = 0600 }`)));
    }
    if (role === "dict") findings.push(...dictListenerFindings(name, socket, settings));
  }
  return findings;
}

/** The last_login plugin connects as the mail user, in one of Dovecot's groups. */
function dictListenerFindings(
  name: string,
  socket: string,
  settings: Section["settings"],
): readonly Finding[] {
  const mode = Number.parseInt(settings.get("mode") ?? "0600", 8);
  const inside = ["mode = 0660", "group = dovecot"].map((line) => `    ${line}`);
  const right = [`${name} {`, `  unix_listener ${socket} {`, ...inside, "  }", "}"];
  if ((mode & 0o002) !== 0) {
    return [openToAll(name, socket, right)];
  }
  if ((mode & 0o060) === 0o060 && (settings.get("group") ?? "") !== "") return [];
  const text = `${name}: Dovecot's mail processes cannot connect to ${socket}: no login is recorded`;
  return [problem(text, ...right)];
}

function openToAll(service: string, socket: string, right: readonly string[]): Finding {
  const text = `${service}: any process that can connect to ${socket} can authorize any address`;
  return problem(text, ...right);
}

function roleFindings({ protocol, socket }: Asking): readonly Finding[] {
  const role = roleNamed(socket);
  if (role === protocol) return [];
  return [
    problem(
      `${protocol}: asks popbsmtp serve at ${socket}, which is for ${role ?? "an unknown purpose"}`,
      `service ${protocol} {`,
      `  executable = ${protocol} popbsmtp-${protocol}`,
      "}",
    ),
  ];
}

async function answers(
  path: string,
  protocol: string,
  { daemon }: Subject,
  consequence: string,
  remedy: readonly string[],
): Promise<Finding> {
  // Dovecot connects as root; other users cannot connect
  if (!isRoot()) return ok(`${protocol}: each login asks ${path}`);
  const asked = await question({ path }, POST_LOGIN.question);
  if ("why" in asked && asked.why === NO_ANSWER) {
    const text = `${protocol}: ${NO_ANSWER} at ${path}: every login is refused, after a minute`;
    return problem(text, ...endIt(daemon));
  }
  if ("why" in asked) {
    const text = `${protocol}: nothing answers at ${path} (${asked.why}): ${consequence}`;
    return problem(text, ...remedy);
  }
  if (asked.answer !== POST_LOGIN.answer) {
    const text = `${protocol}: the program that answers at ${path} is not a working popbsmtp serve: every login is refused`;
    return problem(text, ...remedy);
  }
  return ok(`${protocol}: each login asks popbsmtp serve, which answers (${path})`);
}
