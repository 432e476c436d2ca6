import { runProgram } from "../system/run-program.ts";

/** Releases of Dovecot whose configurations differ. */
export const DOVECOT_RELEASES = ["2.2", "2.3", "2.4"] as const;

export type DovecotRelease = (typeof DOVECOT_RELEASES)[number];

/** What `dovecot --version` says; undefined if Dovecot is not installed. */
export async function dovecotVersion(): Promise<string | undefined> {
  return /^\d+\.\d+\S*/.exec((await runProgram("dovecot", ["--version"]))?.stdout ?? "")?.[0];
}

/** The release of a version. Without an installed Dovecot, 2.3 is the most likely. */
export function releaseOf(version = "2.3"): DovecotRelease {
  const [major = 2, minor = 3] = version.split(".").map(Number);
  if (major > 2 || minor >= 4) return "2.4";
  return minor === 3 ? "2.3" : "2.2";
}
