/**
 * Dovecot's last_login plugin, which reports logins to `popbsmtp serve` without delaying them. Up
 * to Dovecot 2.3.
 */
import { isAbsolute } from "node:path";
import { isRoot } from "../../system/privileges.ts";
import { runProgram } from "../../system/run-program.ts";
import { listenerOf, type Section } from "./doveconf.ts";
import { isStopped, reloadCommand, socketPath } from "./dovecot-process.ts";
import { findServe, setUpFindings } from "./dovecot-service.ts";
import { ok, problem, type Finding } from "../findings/finding.ts";
import { DICT, endIt, NO_ANSWER, question } from "../findings/question.ts";
import type { Subject } from "../findings/subject.ts";
import { popbsmtp } from "../findings/words.ts";

const PLUGIN = "last_login";

/** The key from which the daemon reads a login: kind, address, user. */
const KEY = "popbsmtp/%s/%r/%u";

/** The dict of the last_login plugin, if it is popbsmtp's. */
interface Dict {
  /** As Dovecot names the socket: relative to base_dir, or absolute. */
  readonly socket: string;
}

/** undefined if the plugin is not set up, or reports to another program. */
export function findDict(root: Section, { config }: Subject): Dict | undefined {
  const settings = root.sections.find(({ name }) => name === "plugin")?.settings;
  const [, socket] = /^proxy:([^:]+):/.exec(settings?.get("last_login_dict") ?? "") ?? [];
  if (settings === undefined || socket === undefined) return undefined;
  const { dict } = config.serve;
  const isConfigured = dict !== undefined && "path" in dict && dict.path === socket;
  return isConfigured || socket.includes("popbsmtp") ? { socket } : undefined;
}

/** Whether the logins of a protocol reach the daemon. */
export async function dictFindings(
  root: Section,
  dict: Dict,
  protocol: string,
  subject: Subject,
): Promise<readonly Finding[]> {
  const { socket } = dict;
  const found = [...pluginFindings(root, protocol), ...(await keyFindings(subject))];
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
  return [...found, await answers(path, protocol, serve !== undefined, subject)];
}

function pluginFindings(root: Section, protocol: string): readonly Finding[] {
  const own = root.sections.find(({ name }) => name === `protocol ${protocol}`)?.settings;
  const plugins = own?.get("mail_plugins") ?? root.settings.get("mail_plugins") ?? "";
  if (plugins.split(/\s+/).includes(PLUGIN)) return [];
  return [
    problem(
      `${protocol}: no login is recorded: the effective mail_plugins does not contain ${PLUGIN}`,
      `protocol ${protocol} {    # in the file of conf.d that is read last`,
      `  mail_plugins = $mail_plugins ${PLUGIN}`,
      "}",
    ),
  ];
}

/**
 * doveconf hides every setting whose name contains "key", unless it is asked for that setting
 * alone.
 */
async function keyFindings({ dovecotConfig }: Subject): Promise<readonly Finding[]> {
  const which = dovecotConfig === undefined ? [] : ["-c", dovecotConfig];
  const result = await runProgram("doveconf", [...which, "-h", "-P", "plugin/last_login_key"]);
  const key = result?.stdout.trim() ?? "";
  if (result?.ok !== true || shortened(key) === KEY) return [];
  const text = `last_login_key is ${key === "" ? "not set" : key}: no login is recorded`;
  return [problem(text, "plugin {", `  last_login_key = ${KEY}`, "}")];
}

/** Replaces the long names of variables by the short ones. */
function shortened(key: string): string {
  return key.replace("%{service}", "%s").replace("%{rip}", "%r").replace("%{user}", "%u");
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
