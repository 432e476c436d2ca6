import { found, SYSLOG_CUT, TWO_WAYS, type ProgramFormat } from "./format.ts";

/** The position in the source, which newer versions log. */
const SOURCE = String.raw`(?: \[\w+\.c:\d+\])?`;

/** The default log-login format. */
const LOGIN = new RegExp(
  String.raw`^\([^()]*\) POP login by user (?:"(?<quoted>.*)"|(?<user>\S+)) at \([^() ]*\) (?<address>[^ ]*)${SOURCE}$`,
  "s",
);

/**
 * With statistics (-s), after a session that ended well: the user, four numbers, the client's name
 * and address.
 */
const STATS = new RegExp(
  String.raw`^Stats: +(?<user>\S+)(?: \d+){4} (?:\S+ )?(?<address>[^ ]*)${SOURCE}$`,
);

/**
 * qpopper: `(v4.0.9) POP login by user "bob" at (host.example) 192.0.2.1`, or `Stats: bob 0 0 3
 * 9001 host.example 192.0.2.1`.
 */
export const qpopper: ProgramFormat = {
  name: "qpopper",
  programs: /^(?:in\.)?q?popper[\w.-]*$/,
  cutAt: SYSLOG_CUT,
  read: (text) => {
    const groups = (LOGIN.exec(text) ?? STATS.exec(text))?.groups;
    if (groups === undefined) return undefined;
    const { quoted, user = quoted ?? "", address = "" } = groups;
    return user.includes('" at (') ? TWO_WAYS : found(address, user, "pop3");
  },
};
