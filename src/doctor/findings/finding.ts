/** What doctor has to say: areas of findings, and the report made of them. */
import { EX } from "../../lib/errors.ts";
import { printable, type Terminal } from "../../lib/terminal.ts";

export interface Finding {
  /** A problem stops popbsmtp, or lets somebody in who should not be; a warning is for a person to judge. */
  readonly level: "ok" | "warning" | "problem";
  /** What was found, in a line. */
  readonly text: string;
  /** What to do about it: commands to run or lines to write, one a line. */
  readonly advice: readonly string[];
  /** The store cannot be reached; or something else does not work that this would explain. */
  readonly outage?: "store" | "symptom";
}

/** What was found in one part of the set-up. */
export interface Area {
  readonly name: string;
  readonly findings: readonly Finding[];
}

export function ok(text: string): Finding {
  return { level: "ok", text, advice: [] };
}

export function warning(text: string, ...advice: readonly string[]): Finding {
  return { level: "warning", text, advice };
}

export function problem(text: string, ...advice: readonly string[]): Finding {
  return { level: "problem", text, advice };
}

/** 0 without a problem; 75 where all there is comes from the store, which cannot be reached; else 78. */
export function exitStatus(areas: readonly Area[]): number {
  const problems = areas.flatMap(({ findings }) => findings).filter(isProblem);
  if (problems.length === 0) return EX.OK;
  const outages = problems.map(({ outage }) => outage);
  return outages.includes("store") && !outages.includes(undefined) ? EX.TEMPFAIL : EX.CONFIG;
}

/** Prints an area: its name, and a line for each finding, with the advice below it. */
export function printArea({ name, findings }: Area, { print, color }: Terminal): void {
  const paint = (code: number, text: string) =>
    color ? `\u001B[${String(code)}m${text}\u001B[0m` : text;
  print(paint(1, name));
  for (const { level, text, advice } of findings) {
    print(`  ${paint(COLOURS[level], level.padEnd(8))} ${printable(text)}`);
    for (const line of advice) print(`             ${paint(36, printable(line))}`);
  }
}

/** The last line: how much there is to do. */
export function summary(areas: readonly Area[]): string {
  const findings = areas.flatMap((area) => area.findings);
  const problems = findings.filter(isProblem).length;
  const warnings = findings.filter(({ level }) => level === "warning").length;
  return `${counted(problems, "problem")}, ${counted(warnings, "warning")}`;
}

/** "no problems", "1 problem", "2 problems" */
export function counted(count: number, thing: string): string {
  return `${count === 0 ? "no" : String(count)} ${thing}${count === 1 ? "" : "s"}`;
}

function isProblem({ level }: Finding): boolean {
  return level === "problem";
}

const COLOURS = { ok: 32, warning: 33, problem: 31 };
