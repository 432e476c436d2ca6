/** Whether Dovecot's master runs, and has read the current configuration. */
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { isRoot } from "../../system/privileges.ts";
import type { Section } from "../../dovecot/doveconf.ts";
import { problem, type Finding } from "../findings/finding.ts";
import { serverOf } from "../findings/processes.ts";
import type { Subject } from "../findings/subject.ts";
import { shellWord } from "../findings/words.ts";

/** False also if this process cannot tell: only root can read the process id. */
export function isStopped(root: Section): boolean {
  const base = root.settings.get("base_dir");
  return (
    isRoot() && base !== undefined && serverOf(join(base, "master.pid"), "dovecot") === undefined
  );
}

export function runningFindings(root: Section, { dovecotConfig }: Subject): readonly Finding[] {
  if (!isStopped(root)) return [];
  const start =
    dovecotConfig === undefined
      ? "systemctl start dovecot"
      : `dovecot -c ${shellWord(dovecotConfig)}`;
  return [
    problem(
      "is not running: nobody can read mail",
      `${start}    # doveadm reload starts nothing; journalctl -u dovecot says why it ended`,
    ),
  ];
}

/** The sockets of a service exist once Dovecot has read its configuration. */
export function unreadFindings(
  root: Section,
  protocol: string,
  socket: string,
  subject: Subject,
): readonly Finding[] {
  const path = socketPath(root, socket);
  if (!isRoot() || isStopped(root) || existsSync(path)) return [];
  return [
    problem(
      `${protocol}: Dovecot has not read its configuration since which names the socket ${path}: no login is recorded`,
      reloadCommand(subject),
    ),
  ];
}

/** The path of a socket that is named as in `executable = imap SOCKET`. */
export function socketPath(root: Section, socket: string): string {
  return isAbsolute(socket) ? socket : join(root.settings.get("base_dir") ?? "", socket);
}

export function reloadCommand({ dovecotConfig }: Pick<Subject, "dovecotConfig">): string {
  return dovecotConfig === undefined
    ? "doveadm reload"
    : `doveadm -c ${shellWord(dovecotConfig)} reload`;
}
