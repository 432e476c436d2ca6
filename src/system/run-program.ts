import { execFile } from "node:child_process";

/** Where administrators' programs are, whatever PATH says. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A program that hangs is not waited for any longer. Milliseconds. */
const TIMEOUT_MS = 5_000;

/** What a program said. `ok`: its exit status was 0. */
export interface Answer {
  readonly ok: boolean;
  readonly stdout: string;
  /** The last line of stderr, which is where the reason is; "" where it said nothing. */
  readonly complaint: string;
}

/**
 * Runs a program, without a shell, and returns its answer; undefined where it is not installed.
 *
 * @param as whom to run it as; default: whoever this process is
 */
export function ask(
  program: string,
  args: readonly string[],
  as: { readonly uid?: number; readonly gid?: number } = {},
): Promise<Answer | undefined> {
  const options = {
    ...as,
    cwd: "/",
    env: { PATH: `${process.env["PATH"] ?? ""}:${SYSTEM_PATH}`, LC_ALL: "C" },
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL" as const,
    maxBuffer: 16 * 1024 * 1024,
  };
  return new Promise((resolve) => {
    execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error?.code === "ENOENT") return resolve(undefined);
      const complaint =
        error?.killed === true
          ? `no answer within ${String(TIMEOUT_MS / 1000)} s`
          : (stderr.trim().split("\n").at(-1) ?? "");
      resolve({ ok: error === null, stdout, complaint });
    });
  });
}
