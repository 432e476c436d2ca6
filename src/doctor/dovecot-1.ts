/** Dovecot 1: `mail_executable` is the wrapper, and runs as root. */
import { ok, problem, warning, type Finding } from "./finding.ts";
import type { Subject } from "./subject.ts";
import { popbsmtp } from "./words.ts";
import { commandLine, findWrapper, newWrapper, wrapperFindings, type Wrapper } from "./wrapper.ts";

/** @param text what `dovecot -n` printed: `mail_executable(imap): /usr/bin/popbsmtp /usr/lib/dovecot/imap` */
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
  return executables.flatMap(({ protocol, words }) => protocolFindings(protocol, words, subject));
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
    const text = `${protocol}: popbsmtp is not told which program to become: every login is refused`;
    return [problem(text, ...write({ ...wrapper, chain: [`/usr/lib/dovecot/${protocol}`] }))];
  }
  const findings = wrapperFindings(wrapper, subject, protocol, write);
  if (findings.length > 0) return findings;
  return [ok(`${protocol}: each login runs ${wrapper.program}`)];
}

/** The protocol's own, or what holds for all; a setting that differs from protocol to protocol is printed with each one's name. */
function mailExecutable(text: string, protocol: string): string | undefined {
  for (const label of [String.raw`\(${protocol}\)`, String.raw`(?:\(default\))?`]) {
    const [, value] = new RegExp(`^mail_executable${label}: *(.+)$`, "m").exec(text) ?? [];
    if (value !== undefined) return value.trim();
  }
  return undefined;
}
