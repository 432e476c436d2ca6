/** Whether the running `popbsmtp serve` is this program, and has read the current configuration. */
import { lstatSync, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { readProblems } from "../../daemon/problems.ts";
import { isRoot } from "../../system/privileges.ts";
import { ok, problem, warning, type Finding } from "../findings/finding.ts";
import { commandLineOf, executableOf, findProcess, restartCommand } from "../findings/processes.ts";
import type { Subject } from "../findings/subject.ts";
import { span } from "../findings/words.ts";

/** The precision to which the times of files and processes are compared, in milliseconds. */
const INEXACT_MS = 1_000;

/** [] if no daemon runs. */
export function daemonFindings(subject: Subject): readonly Finding[] {
  const { daemon, now } = subject;
  const running = daemon === undefined ? undefined : findProcess(daemon);
  if (running === undefined) return [];
  const { pid, started } = running;
  const name = `popbsmtp serve (process ${String(pid)})`;
  const old = whyOld(subject, pid, started);
  const findings = [
    ...(old === undefined ? [] : [warning(`${name} ${old}`, restartCommand(running))]),
    ...unreadFindings(subject, pid, name),
    ...readProblems(subject.config.spool).map((reason) =>
      problem(
        `${name} is running without some of its functions: ${reason}`,
        "popbsmtp serve --check    # says what to change; the daemon retries every 10 s",
      ),
    ),
  ];
  if (findings.length > 0) return findings;
  return [ok(`${name} runs this program, and has done so for ${span(now - started)}`)];
}

/** How the daemon differs from the program that would be started now. */
function whyOld({ now, program }: Subject, pid: number, started: number): string | undefined {
  // no mail server runs main.ts of the source tree
  if (program.endsWith(".ts")) return undefined;
  const theirs = commandLineOf(pid).find((word) => basename(word) === "popbsmtp");
  const real = theirs === undefined ? undefined : realPath(theirs);
  if (theirs !== undefined && real !== program) {
    return `is a different popbsmtp from this one: ${theirs}, not ${program}`;
  }
  // replacing the file changes the one time, and overwriting it the other; chmod and chown change
  // neither
  const { mtimeMs, birthtimeMs } = statSync(program);
  const installed = Math.max(mtimeMs, birthtimeMs);
  if (started + INEXACT_MS < installed) {
    return `is older than the program, which was installed ${span(now - installed)} ago: it still runs the old one`;
  }
  if (executableOf(pid)?.endsWith(" (deleted)") === true) {
    return "runs on a version of Node that has since been replaced";
  }
  return undefined;
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** The daemon writes .pid when it starts and whenever it has read the configuration again. */
function unreadFindings(
  { config, passwordFiles, now }: Subject,
  pid: number,
  name: string,
): readonly Finding[] {
  const time = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const record = isRoot()
    ? lstatSync(join(config.spool, ".pid"), { throwIfNoEntry: false })
    : undefined;
  if (record === undefined) return [];
  return [...(config.path === undefined ? [] : [config.path]), ...passwordFiles]
    .filter((file) => time(file) > record.mtimeMs + INEXACT_MS)
    .map((file) =>
      warning(
        `${file} was changed ${span(now - time(file))} ago, and ${name} has not read it since`,
        `kill -HUP ${String(pid)}    # its log says reloaded, or reload-refused and why`,
      ),
    );
}
