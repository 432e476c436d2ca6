import { found, splitOnce, SYSLOG_CUT, TWO_WAYS, type ProgramFormat } from "./format.ts";

/**
 * "Login failed" and "Login disabled" have other words before user=; "Preauthenticated" came
 * through ssh.
 */
const LOGIN = /^(?:Login|Authenticated|Auth|APOP) user=(.*)$/s;
const AFTER = /^(?:[\w.-]+ )?\[([^[\]]*)\](?: nmsgs=\d+\/\d+| no mailbox| mech=[\w-]+)?$/;

/**
 * The University of Washington's imapd and ipop3d, and Panda's: `Login user=bob host=host.example
 * [192.0.2.1] nmsgs=0/3`.
 */
export const uw: ProgramFormat = {
  name: "uw",
  programs: /^(?:imaps?d|ipop[23]s?d)$/,
  hasProcessId: true,
  cutAt: SYSLOG_CUT,
  read: (text, program) => {
    const [, rest] = LOGIN.exec(text) ?? [];
    if (rest === undefined) return undefined;
    const [user, after] = splitOnce(rest, " host=") ?? [];
    if (user === undefined || after === undefined) return TWO_WAYS;
    const [, address] = AFTER.exec(after) ?? [];
    // host= is cut at 80 characters, and a long host name of the client's may leave no room for the
    // address
    if (address === undefined) return "contains no address";
    return found(address, user, program.startsWith("ipop") ? "pop3" : "imap");
  },
};
