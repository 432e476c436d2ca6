/** Dovecot 1, which runs the wrapper as root from `mail_executable`. */
import { ok, problem, warning, type Finding } from "../findings/finding.ts";
import type { Subject } from "../findings/subject.ts";
import { popbsmtp } from "../findings/words.ts";
import {
  commandLine,
  findWrapper,
  newWrapper,
  wrapperFindings,
  type Wrapper,
} from "../findings/wrapper-command.ts";

/**
 * @param text the output of `dovecot -n`: `mail_executable(imap): /usr/bin/popbsmtp
 * /usr/lib/dovecot/imap`
 */
export function dovecot1Findings(text: string, subject: Subject): readonly Finding[] {
  const executables = ["imap", "pop3"].flatMap((protocol) => {
    const executable = mailExecutable(text, protocol);
    return executable === undefined ? [] : [{ protocol, words: executable.split(/\s+/) }];
  });
  if (executables.every(({ words }) => findWrapper(words) === undefined)) {
    return [
      warning(
        "does not run popbsmtp after a login",
        `${popbsmtp(subject.config)} print dovecot 1    # the lines for dovecot.conf`,
      ),
    ];
  }
  const found = executables.flatMap(({ protocol, words }) =>
    protocolFindings(protocol, words, subject),
  );
  const wrappers = executables.flatMap(({ words }) => findWrapper(words) ?? []);
  return [...found, ...rightsFindings(text), ...limitFindings(text, wrappers, subject)];
}

/** Whether the wrapper can write to the spool. */
function rightsFindings(text: string): readonly Finding[] {
  if (!/^mail_drop_priv_before_exec(?:\(.*\))?: *yes$/m.test(text)) return [];
  return [
    problem(
      "no login is recorded: with mail_drop_priv_before_exec, popbsmtp runs as the mail user, who may not write to the spool",
      "mail_drop_priv_before_exec = no    # in dovecot.conf",
    ),
  ];
}

/** Whether logins are drained: Node cannot start in the 256 MB that Dovecot 1 allows by default. */
function limitFindings(
  text: string,
  wrappers: readonly Wrapper[],
  { config, daemon }: Subject,
): readonly Finding[] {
  const size = /^mail_process_size(?:\(.*\))?: *(\d+)$/m.exec(text)?.[1] ?? "256";
  if (size === "0" || daemon !== undefined) return [];
  if (wrappers.every(({ options }) => options.has("--no-drain"))) return [];
  return [
    problem(
      `logins stay in the spool: no drain starts in the ${size} MB of mail_process_size, and popbsmtp serve does not run`,
      `${popbsmtp(config)} serve    # best: beside Dovecot, for instance with popbsmtp print systemd`,
      "mail_process_size = 0    # or this, in dovecot.conf",
      `${popbsmtp(config)} print dovecot 1    # or a drain from cron: these lines say how`,
    ),
  ];
}

function protocolFindings(
  protocol: string,
  words: readonly string[],
  subject: Subject,
): readonly Finding[] {
  const wrapper = findWrapper(words);
  const write = (right: Wrapper) => [
    `protocol ${protocol} {`,
    `  mail_executable = ${commandLine(right)}`,
    "}",
  ];
  if (wrapper === undefined) {
    const text = `${protocol}: no login is recorded: popbsmtp does not run after it`;
    return [problem(text, ...write({ ...newWrapper(subject), chain: words }))];
  }
  if (wrapper.chain.length === 0) {
    const text = `${protocol}: popbsmtp is not told which program to run: every login is refused`;
    return [problem(text, ...write({ ...wrapper, chain: [`/usr/lib/dovecot/${protocol}`] }))];
  }
  const findings = wrapperFindings(wrapper, subject, protocol, write);
  if (findings.length > 0) return findings;
  return [ok(`${protocol}: each login runs ${wrapper.program}`)];
}

/**
 * The setting of the protocol, or of all protocols: Dovecot prints one line a protocol if they
 * differ.
 */
function mailExecutable(text: string, protocol: string): string | undefined {
  for (const label of [String.raw`\(${protocol}\)`, String.raw`(?:\(default\))?`]) {
    const [, value] = new RegExp(`^mail_executable${label}: *(.+)$`, "m").exec(text) ?? [];
    if (value !== undefined) return value.trim();
  }
  return undefined;
}
