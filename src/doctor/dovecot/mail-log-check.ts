/** The logs that [watch] names. */
import { closeSync, constants, openSync } from "node:fs";
import { reasonOf, hasCode } from "../../lib/errors.ts";
import { unreadable } from "../../sources/mail-log/unreadable.ts";
import { becoming } from "../findings/becoming.ts";
import type { Section } from "../../dovecot/doveconf.ts";
import type { InstalledDovecot } from "../../dovecot/read-dovecot.ts";
import { ok, problem, warning, type Finding } from "../findings/finding.ts";
import type { Subject } from "../findings/subject.ts";

export function mailLogFindings({ config, account }: Subject): readonly Finding[] {
  const { user, watch } = config;
  return (watch.inDaemon ? watch.files : []).map((path) => {
    const look = () => logFinding(path, user);
    return account === undefined ? look() : becoming(user, account, look);
  });
}

/** Whether this user can read the log. */
function logFinding(path: string, user: string): Finding {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
    return ok(`${path}: ${user} may read it`);
  } catch (error) {
    if (hasCode(error, "ENOENT")) {
      return warning(`${path} does not exist; it will be read once it does`);
    }
    const trouble = unreadable(path, error);
    return problem(reasonOf(trouble));
  }
}

/** Whether the log has what popbsmtp reads there. */
export function elementsFindings({ root, release }: InstalledDovecot): readonly Finding[] {
  const elements = root.settings.get("login_log_format_elements") ?? "";
  const [old] = /%(?!\{)\S/.exec(elements) ?? [];
  if (release !== "2.4" || old === undefined) return [];
  return [
    problem(
      `login_log_format_elements contains ${old}, a variable of older releases, with which Dovecot 2.4 logs neither user nor address: no login is read from the log, which popbsmtp watches`,
      "login_log_format_elements = user=<%{user}> method=%{mechanism} rip=%{remote_ip}    # further elements may follow",
    ),
  ];
}

/** Settings of Dovecot that let a client write text into the log that looks like a login. */
export function imitationFindings(root: Section): readonly Finding[] {
  return [...userNames(root), ...clientNames(root)];
}

function userNames(root: Section): readonly Finding[] {
  const characters = root.settings.get("auth_username_chars");
  if (characters === undefined || (characters !== "" && !/[<>, ]/.test(characters))) return [];
  return [
    problem(
      "auth_username_chars lets user names contain <, > or a blank: a name may imitate a login in the log, which popbsmtp watches",
      "auth_username_chars = abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@    # in dovecot.conf: the default",
    ),
  ];
}

/** The ID command (RFC 2971) may precede the login, and its length is not limited. */
function clientNames(root: Section): readonly Finding[] {
  const places = [root, ...root.sections.filter(({ name }) => name.startsWith("protocol "))];
  if (places.every(({ settings }) => (settings.get("imap_id_log") ?? "") === "")) return [];
  return [
    problem(
      "imap_id_log logs text that any client sends before it logs in: such text may imitate a login in the log, which popbsmtp watches, and makes it ignore genuine logins",
      "imap_id_log =    # in dovecot.conf: the default",
    ),
  ];
}
