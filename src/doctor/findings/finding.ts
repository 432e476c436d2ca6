/** The findings of doctor, in areas, and its report. */
import { EX } from "../../lib/errors.ts";
import { printable, type Terminal } from "../../lib/terminal.ts";

export interface Finding {
  /** A problem stops popbsmtp or opens the relay; the administrator has to judge a warning. */
  readonly level: "ok" | "warning" | "problem";
  /** The finding, in one line. */
  readonly text: string;
  /** What to do: commands to run or lines to write, one a line. */
  readonly advice: readonly string[];
  /**
   * "store": the store is unreachable; "symptom": another fault, which an unreachable store would
   * explain.
   */
  readonly outage?: "store" | "symptom";
}

/** The findings about one part of the set-up. */
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

/** 0 without problems; 75 if all problems follow from an unreachable store; otherwise 78. */
export function exitStatus(areas: readonly Area[]): number {
  const problems = areas.flatMap(({ findings }) => findings).filter(isProblem);
  if (problems.length === 0) return EX.OK;
  const outages = problems.map(({ outage }) => outage);
  return outages.includes("store") && !outages.includes(undefined) ? EX.TEMPFAIL : EX.CONFIG;
}

/** Prints an area: its name, then each finding with its advice. */
export function printArea({ name, findings }: Area, { print, color }: Terminal): void {
  const paint = (code: number, text: string) =>
    color ? `\u001B[${String(code)}m${text}\u001B[0m` : text;
  print(paint(1, name));
  for (const { level, text, advice } of findings) {
    print(`  ${paint(COLOURS[level], level.padEnd(8))} ${printable(text)}`);
    for (const line of advice) print(`             ${paint(36, printable(line))}`);
  }
}

/** The last line of the report: the number of problems and warnings. */
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
