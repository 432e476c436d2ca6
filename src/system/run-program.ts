import { execFile, type ExecFileException } from "node:child_process";
import { noAnswerWithin } from "../lib/deadline.ts";

/** The directories of administrators' programs, whatever PATH contains. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** How long to wait for a program, in milliseconds. */
const TIMEOUT_MS = 5_000;

/** The result of a program. */
export interface ProgramResult {
  /** Whether its exit status was 0. */
  readonly ok: boolean;
  readonly stdout: string;
  /**
   * Why it could not be started, or the last line of stderr, which has the reason; "" if there is
   * none.
   */
  readonly complaint: string;
}

export interface ProgramOptions {
  /** The account to run it as. Default: that of this process. */
  readonly as?: { readonly uid: number; readonly gid: number } | undefined;
  /** Variables in addition to PATH and LC_ALL, or in place of them. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program without a shell, for five seconds at most; undefined if it is not installed. */
export function runProgram(
  program: string,
  args: readonly string[],
  { as, env }: ProgramOptions = {},
): Promise<ProgramResult | undefined> {
  const options = {
    uid: as?.uid,
    gid: as?.gid,
    cwd: "/",
    env: { PATH: `${process.env["PATH"] ?? ""}:${SYSTEM_PATH}`, LC_ALL: "C", ...env },
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL" as const,
    maxBuffer: 16 * 1024 * 1024,
  };
  return new Promise((resolve) => {
    execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error?.code === "ENOENT") return resolve(undefined);
      resolve({ ok: error === null, stdout, complaint: complaintOf(error, stderr) });
    });
  });
}

function complaintOf(error: ExecFileException | null, stderr: string): string {
  if (error?.killed === true) return noAnswerWithin(TIMEOUT_MS);
  const [line = ""] = stderr.trim().split("\n").slice(-1);
  return line === "" && typeof error?.code === "string" ? error.message : line;
}
