/** Whether Postfix's processes run, and have read the current configuration. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { isRoot } from "../../system/privileges.ts";
import { problem, warning, type Finding } from "../findings/finding.ts";
import type { Postfix } from "./postconf.ts";
import type { SqlMap } from "./postfix-lookup.ts";
import { childrenOf, serverOf, type Process } from "../findings/processes.ts";
import type { Subject } from "../findings/subject.ts";
import { shellWord, span } from "../findings/words.ts";

/** The precision to which the times of files and processes are compared, in milliseconds. */
const INEXACT_MS = 1_000;

/** Whether Postfix runs, with the current configuration. Only root can check. */
export function runningFindings(subject: Subject, postfix: Postfix): readonly Finding[] {
  if (!isRoot()) return [];
  const master = masterOf(postfix);
  if (master === undefined) {
    return [problem("is not running: no mail comes in", command(postfix, "start"))];
  }
  const files = ["main.cf", "master.cf"].map((name) => join(postfix.directory, name));
  return files.flatMap((file) => staleFile(file, "smtpd", subject, postfix));
}

/** A process reads a map file once, and does not notice changes. */
export function staleFindings(
  { path, proxied }: SqlMap,
  subject: Subject,
  postfix: Postfix,
): readonly Finding[] {
  return staleFile(path, proxied ? "proxymap" : "smtpd", subject, postfix);
}

/** @param reader the program that reads the file when it starts */
function staleFile(
  path: string,
  reader: string,
  subject: Subject,
  postfix: Postfix,
): readonly Finding[] {
  const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  const master = isRoot() ? masterOf(postfix) : undefined;
  if (changed === undefined || master === undefined) return [];
  const older = childrenOf(master.pid).find(
    ({ name, started }) => name === reader && started < changed - INEXACT_MS,
  );
  if (older === undefined) return [];
  return [
    warning(
      `${path} was changed ${span(subject.now - changed)} ago, and ${reader} (process ${String(older.pid)}) still uses its old contents`,
      command(postfix, "reload"),
    ),
  ];
}

function masterOf({ queue }: Postfix): Process | undefined {
  return serverOf(join(queue, "pid/master.pid"), "master");
}

function command({ which }: Postfix, verb: string): string {
  return ["postfix", ...which, verb].map(shellWord).join(" ");
}
