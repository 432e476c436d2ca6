import { found, SYSLOG_CUT, TWO_WAYS, type ProgramFormat } from "./format.ts";

/** Where in the source it was written; there in newer versions. */
const SOURCE = String.raw`(?: \[\w+\.c:\d+\])?`;

/** With log-login, as it comes. */
const LOGIN = new RegExp(
  String.raw`^\([^()]*\) POP login by user (?:"(?<quoted>.*)"|(?<user>\S+)) at \([^() ]*\) (?<address>[^ ]*)${SOURCE}$`,
  "s",
);

/** With statistics (-s), when a session ends well: five numbers' worth of mail, the client's name and address. */
const STATS = new RegExp(
  String.raw`^Stats: +(?<user>\S+)(?: \d+){4} (?:\S+ )?(?<address>[^ ]*)${SOURCE}$`,
);

/** qpopper: `(v4.0.9) POP login by user "bob" at (host.example) 192.0.2.1`, or `Stats: bob 0 0 3 9001 host.example 192.0.2.1`. */
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
