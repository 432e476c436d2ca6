import { found, SYSLOG_CUT, type ProgramFormat } from "./format.ts";

/**
 * The client's DNS name contains neither brackets nor blanks. Old versions print no blank after it.
 */
const LOGIN = /^login: (?:[^\s[\]]+ ?)?\[([^\s[\]]*)\] (.+)$/s;

/** Cyrus' answer, which old versions leave empty or print as a blank. */
const ANSWER = /(?: User logged in(?: SESSIONID=<[^<>]*>)?)? ?$/;

const USER = /^(.+) [\w-]+(?:\+TLS)?$/s;

/**
 * Cyrus: `login: host.example [192.0.2.1] bob plaintext User logged in`. The address precedes the
 * name, so a name cannot imitate it.
 */
export const cyrus: ProgramFormat = {
  name: "cyrus",
  programs: /^(?:cyrus\/)?(?:imap|pop3)d?s?$/,
  hasProcessId: true,
  cutAt: SYSLOG_CUT,
  read: (text, program) => {
    const [, address, rest = ""] = LOGIN.exec(text) ?? [];
    const [, user] = USER.exec(rest.replace(ANSWER, "")) ?? [];
    if (address === undefined || user === undefined) return undefined;
    // an anonymous login; the text after it is the password that the client gave
    if (/^anonymous(?: |$)/.test(user)) return undefined;
    return found(address, user, program.includes("pop3") ? "pop3" : "imap");
  },
};
