import { found, SYSLOG_CUT, type ProgramFormat } from "./format.ts";

/** The client's name in the DNS has no bracket and no blank in it. Old versions have no blank after it. */
const LOGIN = /^login: (?:[^\s[\]]+ ?)?\[([^\s[\]]*)\] (.+)$/s;

/** What Cyrus answered; old versions have nothing there, or a blank. */
const ANSWER = /(?: User logged in(?: SESSIONID=<[^<>]*>)?)? ?$/;

const USER = /^(.+) [\w-]+(?:\+TLS)?$/s;

/** Cyrus: `login: host.example [192.0.2.1] bob plaintext User logged in`. Address first: nothing that a name says can be it. */
export const cyrus: ProgramFormat = {
  name: "cyrus",
  programs: /^(?:cyrus\/)?(?:imap|pop3)d?s?$/,
  hasProcessId: true,
  cutAt: SYSLOG_CUT,
  read: (text, program) => {
    const [, address, rest = ""] = LOGIN.exec(text) ?? [];
    const [, user] = USER.exec(rest.replace(ANSWER, "")) ?? [];
    if (address === undefined || user === undefined) return undefined;
    // somebody who was let in without a name; what follows is what they gave as password
    if (/^anonymous(?: |$)/.test(user)) return undefined;
    return found(address, user, program.includes("pop3") ? "pop3" : "imap");
  },
};
