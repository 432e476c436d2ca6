/** Node, and whether a mail server that passes no PATH can start it. */
import { basename, dirname, join } from "node:path";
import { runProgram } from "../../system/run-program.ts";
import { ok, problem, type Finding } from "../findings/finding.ts";
import type { Subject } from "../findings/subject.ts";
import { shellWord } from "../findings/words.ts";

export async function nodeFindings({
  config,
  program,
  account,
}: Subject): Promise<readonly Finding[]> {
  const running = ok(`Node ${process.version}, ${process.execPath}`);
  // no mail server runs main.ts of the source tree
  if (basename(program).endsWith(".ts")) return [running];
  // the PATH that the wrapper sets if there is none, and the user of a drain
  const words = ["-i", "PATH=/usr/local/bin:/usr/bin:/bin", program, "--version"];
  const result = await runProgram("env", words, { as: account });
  const who = account === undefined ? "" : ` as ${config.user}`;
  if (result?.ok === true)
    return [running, ok(`starts${who} without a PATH, as Dovecot starts it`)];
  const why = result?.complaint.replace(/^popbsmtp: /, "") ?? "env is missing";
  return [
    running,
    problem(
      `does not start${who} without a PATH, as Dovecot would start it: ${why}`,
      `ln -s ${shellWord(process.execPath)} ${shellWord(join(dirname(program), "node"))}    # where everybody may run that one`,
    ),
  ];
}
