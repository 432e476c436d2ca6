import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  openSync,
  closeSync,
  fsyncSync,
} from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { ConfigError, EX, PopbsmtpError, reasonOf } from "../lib/errors.ts";
import { MEMORY, writing, type Step } from "./step.ts";

/** What takes steps back is here until it has, a file for each step. */
const UNDO = `${MEMORY}/undo`;
/** Is there while a setup is at work, and after one that was killed. */
const UNFINISHED = `${MEMORY}/unfinished`;

const HEAD = "set -e\numask 022\nexport PATH LC_ALL=C\n";
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** How long the lines of a step may take. Milliseconds. */
const TIMEOUT_MS = 120_000;

export interface Progress {
  /** Called before a step. */
  readonly onStep: (title: string) => void;
  /** Takes what a step has printed. */
  readonly onOutput: (text: string) => void;
}

/** @throws ConfigError if a setup was killed before it was done */
export function assertFinished(): void {
  if (!existsSync(UNFINISHED)) return;
  throw new ConfigError([
    "setup: an earlier setup was interrupted: popbsmtp setup --undo takes back what it did; then run setup again",
  ]);
}

/**
 * Does a plan. If a step fails, takes everything back that this call has done.
 *
 * @throws PopbsmtpError with the step that failed, and why
 */
export async function perform(steps: readonly Step[], progress: Progress): Promise<void> {
  mkdirSync(MEMORY, { recursive: true, mode: 0o700 });
  mkdirSync(UNDO, { recursive: true, mode: 0o700 });
  durably(UNFINISHED, "");
  const done: string[] = [];
  for (const step of steps) {
    progress.onStep(step.title);
    try {
      if (step.undo !== undefined) {
        durably(join(UNDO, step.name), `# ${step.title}\n${step.undo}\n`);
        done.push(step.name);
      }
      await runLines(step.lines, progress);
      await step.check?.();
    } catch (error) {
      const left = await takeBack(done, progress);
      const after = left === undefined ? "everything is as it was" : `and ${left}`;
      throw new PopbsmtpError(`setup: ${step.title}: ${reasonOf(error)}; ${after}`, EX.CANTCREAT, {
        cause: error,
      });
    }
  }
  const lasting = new Set(steps.filter((step) => step.lasting === true).map(({ name }) => name));
  for (const name of done) if (!lasting.has(name)) rmSync(join(UNDO, name));
  rmSync(UNFINISHED);
}

/**
 * Takes back what earlier setups did to the mail server; all of what they did if they were killed.
 * Returns whether there was anything.
 *
 * @throws PopbsmtpError with the step that could not be taken back, and why
 */
export async function undo(progress: Progress): Promise<boolean> {
  const names = existsSync(UNDO) ? readdirSync(UNDO) : [];
  if (names.length === 0 && !existsSync(UNFINISHED)) return false;
  const left = await takeBack(names.toSorted(), progress);
  if (left !== undefined) throw new PopbsmtpError(`setup: ${left}`, EX.CANTCREAT);
  return true;
}

/** Takes steps back, the last first. Returns what could not be, if there is any. */
async function takeBack(names: readonly string[], progress: Progress): Promise<string | undefined> {
  for (const name of names.toReversed()) {
    const file = join(UNDO, name);
    const lines = readFileSync(file, "utf8");
    const title = /^# (.*)/.exec(lines)?.[1] ?? name;
    progress.onStep(`Taking back: ${title}`);
    try {
      await runLines(lines, progress);
    } catch (error) {
      return `"${title}" could not be taken back: ${reasonOf(error)}; popbsmtp setup --undo tries again`;
    }
    rmSync(file);
  }
  if (readdirSync(UNDO).length === 0) rmSync(MEMORY, { recursive: true });
  else rmSync(UNFINISHED, { force: true });
  return undefined;
}

/** The plan as a script, which does what {@link perform} does, but takes nothing back by itself. */
export function scriptOf(steps: readonly Step[]): string {
  const temporary = steps.filter(
    ({ undo: lines, lasting }) => lines !== undefined && lasting !== true,
  );
  return [
    "#!/bin/sh",
    "# What popbsmtp setup would do. If a step fails, popbsmtp setup --undo takes it and the others back.",
    HEAD.replace("export PATH", `export PATH=${PATH}`).trimEnd(),
    `install -d -m 700 ${MEMORY} ${UNDO}`,
    `: > ${UNFINISHED}`,
    ...steps.flatMap(({ name, title, lines, undo: back }) => [
      "",
      `# ${title}`,
      ...(back === undefined
        ? []
        : [
            writing(`${UNDO}/${name}`, `# ${title}\n${back}\n`, "0600").replaceAll(
              "END OF FILE",
              "END OF UNDO",
            ),
          ]),
      lines,
    ]),
    "",
    `rm -f ${[...temporary.map(({ name }) => `${UNDO}/${name}`), UNFINISHED].join(" ")}`,
  ].join("\n");
}

/** Runs lines of a shell up to the first that fails. */
async function runLines(lines: string, { onOutput }: Progress): Promise<void> {
  const child = spawn("/bin/sh", ["-c", `${HEAD}exec 2>&1\n${lines}`], {
    cwd: "/",
    env: { PATH, HOME: "/root" },
    stdio: ["ignore", "pipe", "ignore"],
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const ended = new Promise<string | undefined>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      resolve(status === 0 ? undefined : `ended with ${String(status ?? signal)}`);
    });
  });
  const [why, said] = await Promise.all([ended, text(child.stdout)]);
  onOutput(said);
  if (why === undefined) return;
  const [reason = ""] = said.trim().split("\n").slice(-1);
  throw new Error(reason === "" ? why : reason);
}

function durably(path: string, contents: string): void {
  writeFileSync(path, contents, { mode: 0o600 });
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
