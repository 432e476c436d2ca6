/** Runs `popbsmtp doctor` on a set-up, and breaks the set-up for a while. */
import assert from "node:assert/strict";
import { readFileSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Dovecot } from "./dovecot.ts";
import type { Installation } from "./installation.ts";
import type { Postfix } from "./postfix.ts";
import { PLAIN_ENV, run } from "./run.ts";

/** doctor's output, and its exit status. */
export interface Report {
  readonly status: number | undefined;
  readonly text: string;
}

/** Runs doctor as root, on these servers alone. */
export async function runDoctor(
  box: Installation,
  dovecot: Dovecot,
  postfix: Postfix,
): Promise<Report> {
  const dovecotConf = join(dovecot.directory, "dovecot.conf");
  const servers = ["--dovecot-config", dovecotConf, "--postfix-config", postfix.directory];
  const { status, stdout, stderr } = await run(box.program, [
    "--config",
    box.config,
    "doctor",
    ...servers,
  ]);
  assert.equal(stderr.toString(), "");
  return { status, text: stdout.toString() };
}

/** Changes a file, does `work`, and restores the file. */
export async function edited(
  path: string,
  from: string | RegExp,
  to: string,
  work: () => Promise<void>,
): Promise<void> {
  const text = readFileSync(path, "utf8");
  const other = text.replace(from, to);
  assert.notEqual(other, text, `${path} has nothing like ${String(from)}`);
  write(path, other);
  try {
    await work();
  } finally {
    write(path, text);
  }
}

/** Writes a file of a running Postfix. */
export function write(path: string, text: string): void {
  writeFileSync(path, text);
  // Postfix takes a file of the last two seconds for half-written, and would wait
  utimesSync(path, 0, 0);
}

/** Asserts that the report has a problem that matches `found`, with this advice. */
export function assertProblem(report: Report, found: RegExp, advice: string, exit = 78): void {
  const given = adviceOf(report, "problem", found);
  assert.ok(given.join("\n").includes(advice), `not advised: ${advice}, but:\n${given.join("\n")}`);
  assert.equal(report.status, exit, report.text);
}

/** The same for a warning, in a report without problems. */
export function assertWarning(report: Report, found: RegExp, advice = ""): void {
  const given = adviceOf(report, "warning", found);
  assert.ok(given.join("\n").includes(advice), `not advised: ${advice}, but:\n${given.join("\n")}`);
  assert.equal(report.status, 0, report.text);
}

/** The lines below a finding: the advice. */
export function adviceOf(
  { text }: Report,
  level: "problem" | "warning",
  found: RegExp,
): readonly string[] {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.startsWith(`  ${level}`) && found.test(line));
  assert.ok(at >= 0, `no ${level} like ${String(found)} in:\n${text}`);
  const below = lines.slice(at + 1);
  const end = below.findIndex((line) => !line.startsWith("      "));
  return below.slice(0, end).map((line) => line.slice(13));
}

/** Follows the advice, as an administrator who pastes it into a shell. */
export async function follow(
  report: Report,
  level: "problem" | "warning",
  found: RegExp,
  { program }: Installation,
): Promise<void> {
  const script = adviceOf(report, level, found).join("\n");
  const env = { ...PLAIN_ENV, PATH: `${dirname(program)}:${PLAIN_ENV.PATH}` };
  const { status, stderr } = await run("/bin/bash", ["-e", "-c", script], { env });
  assert.equal(status, 0, `${script}\n${stderr.toString()}`);
}
