/**
 * relay-ctrl's programs as its manual pages describe them, for directories that popbsmtp shares
 * with them. They share no code with popbsmtp.
 */
import {
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";

export interface Checked {
  readonly relays: boolean;
  /** The NAME=value strings for the environment of the SMTP server. */
  readonly exported: readonly string[];
}

/** relay-ctrl-check(8). `expiry`: seconds, RELAY_CTRL_EXPIRY. */
export function relayCtrlCheck(directory: string, remoteIp: string, expiry = 900): Checked {
  const file = `${directory}/${remoteIp}`;
  let modified: number;
  try {
    modified = Math.floor(statSync(file).mtimeMs / 1000);
  } catch {
    return { relays: false, exported: [] };
  }
  if (modified + expiry < Math.floor(Date.now() / 1000)) {
    unlinkSync(file);
    return { relays: false, exported: [] };
  }
  const strings = readFileSync(file, "latin1").slice(0, 8192).split("\0");
  // text after the last NUL is incomplete
  return { relays: true, exported: strings.slice(0, -1).filter((text) => text.includes("=")) };
}

/** relay-ctrl-allow(8), for a user who has logged in. `ago`: seconds. */
export function relayCtrlAllow(
  directory: string,
  remoteIp: string,
  variables: Readonly<Record<string, string>> = {},
  ago = 0,
): void {
  const now = Date.now() / 1000;
  const unfinished = `${directory}/.${Math.floor(now)}.${Math.floor((now % 1) * 1e6)}:${process.pid}`;
  const strings = Object.entries(variables).map(([name, value]) => `${name}=${value}\0`);
  writeFileSync(unfinished, strings.join(""), { flag: "wx", mode: 0o600 });
  utimesSync(unfinished, now - ago, now - ago);
  renameSync(unfinished, `${directory}/${remoteIp}`);
}

/** relay-ctrl-age(8). */
export function relayCtrlAge(directory: string, expiry = 900): void {
  const old = Math.floor(Date.now() / 1000) - expiry;
  for (const name of readdirSync(directory)) {
    const file = `${directory}/${name}`;
    if (statSync(file).mtimeMs / 1000 < old) unlinkSync(file);
  }
}
