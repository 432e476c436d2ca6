/** What Dovecot, as configured, does after a login. */
import { findAccount, isRoot, type Account } from "../../system/privileges.ts";
import { runProgram } from "../../system/run-program.ts";
import { becoming, whyNotReadable } from "../findings/becoming.ts";
import {
  findServe,
  isServeSocket,
  ownSocketFindings,
  serviceFindings,
  type Setter,
} from "./dovecot-service.ts";
import {
  addressSpace,
  listenerOf,
  NODE_BYTES,
  settingOf,
  type Section,
} from "../../dovecot/doveconf.ts";
import { protocolsOf, readDovecot, type InstalledDovecot } from "../../dovecot/read-dovecot.ts";
import { NO_LIMIT, PROTOCOLS, type MailProtocol } from "../../dovecot/release.ts";
import { dictFindings, findDict } from "./dovecot-dict.ts";
import { runningFindings, unreadFindings } from "./dovecot-process.ts";
import { dovecot1Findings } from "./dovecot-1.ts";
import { ok, problem, warning, type Finding } from "../findings/finding.ts";
import { elementsFindings, imitationFindings } from "./mail-log-check.ts";
import type { Subject } from "../findings/subject.ts";
import { groupName, popbsmtp, shellWord } from "../findings/words.ts";
import {
  commandLine,
  findWrapper,
  newWrapper,
  wrapperFindings,
  type Wrapper,
} from "../findings/wrapper-command.ts";

export async function dovecotFindings(subject: Subject): Promise<readonly Finding[]> {
  const { dovecotConfig } = subject;
  const dovecot = await readDovecot(dovecotConfig);
  const which = dovecotConfig === undefined ? [] : ["-c", dovecotConfig];
  if (typeof dovecot === "string") {
    return [
      problem(
        `doveconf cannot read Dovecot's configuration: ${dovecot}`,
        ["doveconf", ...which.map(shellWord), "-n"].join(" "),
      ),
    ];
  }
  if (dovecot !== undefined) {
    const { version, root } = dovecot;
    const found = await dovecot2Findings(dovecot, subject);
    // there may be nothing to say of a right configuration while Dovecot is stopped
    const isOurs =
      found.length === 0 ||
      found.some(({ level, text }) => level !== "warning" || !text.startsWith("does not run"));
    return [ok(`Dovecot ${version}`), ...(isOurs ? runningFindings(root, subject) : []), ...found];
  }
  // doveconf came with version 2.0
  const old = await runProgram("dovecot", ["-n", ...which]);
  return old === undefined
    ? [ok("not installed on this host")]
    : dovecot1Findings(old.stdout, subject);
}

async function dovecot2Findings(
  dovecot: InstalledDovecot,
  subject: Subject,
): Promise<readonly Finding[]> {
  const { root } = dovecot;
  const isWatched = subject.config.watch.inDaemon;
  const names = isWatched ? [...imitationFindings(root), ...elementsFindings(dovecot)] : [];
  const enabled = protocolsOf(dovecot);
  const found: (readonly Finding[] | undefined)[] = [];
  const protocols = PROTOCOLS.filter((protocol) => enabled.includes(protocol));
  for (const protocol of protocols) found.push(await protocolFindings(dovecot, protocol, subject));
  if (protocols.length === 0) return [ok("serves neither imap nor pop3")];
  if (found.every((findings) => findings === undefined)) {
    if (isWatched) return [ok("does not run popbsmtp after a login; its log is watched"), ...names];
    return [
      warning(
        "does not run popbsmtp after a login",
        `${popbsmtp(subject.config)} print dovecot > /etc/dovecot/conf.d/99-popbsmtp.conf && doveadm reload`,
      ),
    ];
  }
  const findings = protocols.flatMap((protocol, at) => found[at] ?? [notOurs(protocol, subject)]);
  // one daemon serves both protocols
  const different = findings.filter(
    ({ text }, at) => findings.findIndex((other) => other.text === text) === at,
  );
  return [...different, ...names];
}

function notOurs(protocol: string, subject: Subject): Finding {
  const text = `${protocol}: no login is recorded: popbsmtp does not run after it`;
  return problem(text, linesFor(protocol, subject));
}

function linesFor(protocol: string, { config, daemon }: Subject): string {
  const form = daemon === undefined ? "wrapper" : "service";
  return `${popbsmtp(config)} print dovecot ${form}    # the lines for ${protocol}`;
}

/** undefined if Dovecot runs nothing but imap itself. */
async function protocolFindings(
  dovecot: InstalledDovecot,
  protocol: MailProtocol,
  subject: Subject,
): Promise<readonly Finding[] | undefined> {
  const { root } = dovecot;
  const service = root.sections.find(({ name }) => name === `service ${protocol}`);
  const socket = service?.settings.get("executable")?.split(/\s+/).slice(1).find(isArgument);
  if (socket === undefined) {
    const dict = findDict(dovecot, protocol, subject);
    return dict === undefined ? undefined : dictFindings(dovecot, dict, protocol, subject);
  }
  const listener = listenerOf(root, socket);
  if (listener === undefined) {
    if (isServeSocket(socket, protocol, subject))
      return ownSocketFindings(socket, protocol, subject);
    return [
      problem(
        `${protocol}: nothing listens on the socket ${socket}: every login is refused`,
        linesFor(protocol, subject),
      ),
    ];
  }
  const serve = findServe(root, listener);
  if (serve !== undefined) return serviceFindings(root, serve, { socket, protocol }, subject);
  const found = postLoginFindings(root, listener, protocol, subject);
  const isGood = found.every(({ level }) => level !== "problem");
  return isGood ? [...unreadFindings(root, protocol, socket, subject), ...found] : found;
}

function isArgument(word: string): boolean {
  return word !== "" && !word.startsWith("-");
}

function postLoginFindings(
  root: Section,
  service: Section,
  protocol: string,
  subject: Subject,
): readonly Finding[] {
  const [login = "script-login", ...words] = settingOf(root, service, "executable").split(/\s+/);
  const wrapper = findWrapper(words);
  const set: Setter = (line) => [`${service.name} {`, `  ${line}`, "}"];
  const write = ({ options, ...rest }: Wrapper) => {
    const named = new Map([...options, ["--service", options.get("--service") ?? protocol]]);
    return set(`executable = ${login} ${commandLine({ ...rest, options: named })}`);
  };
  if (wrapper === undefined) {
    const text = `${protocol}: no login is recorded: after it runs ${words.join(" ") || login}, not popbsmtp`;
    return [problem(text, ...write({ ...newWrapper(subject), chain: words }))];
  }
  const findings = [
    ...wrapperFindings(wrapper, subject, protocol, write),
    ...userFindings(settingOf(root, service, "user"), wrapper.program, subject, protocol, set),
    ...limitFindings(root, service, protocol, set),
  ];
  if (!wrapper.options.has("--service")) {
    const text = `${protocol}: popbsmtp is not told which service the login uses`;
    findings.push(warning(text, ...write(wrapper)));
  }
  if (findings.length > 0) return findings;
  return [ok(`${protocol}: each login runs ${wrapper.program} (${service.name})`)];
}

/** The user of the wrapper: Dovecot's default for a service is root. */
function userFindings(
  user: string,
  program: string,
  subject: Subject,
  protocol: string,
  set: Setter,
): readonly Finding[] {
  const { config } = subject;
  if (user === "" || user === "root") return [];
  if (user !== config.user) {
    return [
      problem(
        `${protocol}: popbsmtp runs as ${user}, who may neither write to the spool nor start a drain as ${config.user}`,
        ...set(`user = ${config.user}`),
      ),
    ];
  }
  const account = isRoot() ? findAccount(user) : subject.account;
  if (account === undefined) return [];
  const files = [program, ...(config.path === undefined ? [] : [config.path])];
  return files
    .concat(subject.passwordFiles)
    .flatMap((file) => unreadable(file, user, account, protocol));
}

function unreadable(
  file: string,
  user: string,
  account: Account,
  protocol: string,
): readonly Finding[] {
  const why = becoming(user, account, () => whyNotReadable(file));
  if (why === undefined) return [];
  const word = shellWord(file);
  return [
    problem(
      `${protocol}: popbsmtp runs as ${user}, who cannot read ${file} (${why})`,
      `chgrp ${shellWord(groupName(account.gid))} ${word} && chmod g+r ${word}    # and x on its directories: namei -l ${word}`,
    ),
  ];
}

function limitFindings(
  root: Section,
  service: Section,
  protocol: string,
  set: Setter,
): readonly Finding[] {
  const limit = addressSpace(root, service);
  const user = settingOf(root, service, "user");
  // root may raise the limit for the drain
  if (limit === undefined || limit >= NODE_BYTES || user === "" || user === "root") return [];
  return [
    problem(
      `${protocol}: logins cannot start a drain: vsz_limit is ${String(Math.round(limit / 1024 / 1024))} MB, and Node needs more`,
      ...set(NO_LIMIT),
    ),
  ];
}
