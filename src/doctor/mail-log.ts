/** The logs that [watch] names. */
import { closeSync, constants, openSync } from "node:fs";
import { unreadable } from "../sources/mail-log/unreadable.ts";
import { becoming } from "./becoming.ts";
import { ok, problem, warning, type Finding } from "./finding.ts";
import type { Subject } from "./subject.ts";

export function mailLogFindings({ config, account }: Subject): readonly Finding[] {
  const { user, watch } = config;
  return (watch.inDaemon ? watch.files : []).map((path) => {
    const look = () => logFinding(path, user);
    return account === undefined ? look() : becoming(user, account, look);
  });
}

/** As this user finds it. */
function logFinding(path: string, user: string): Finding {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
    return ok(`${path}: ${user} may read it`);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return warning(`${path} is not there; it is watched for`);
    }
    const trouble = unreadable(path, error);
    return problem(trouble instanceof Error ? trouble.message : String(trouble));
  }
}
