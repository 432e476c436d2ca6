import { parseAddress } from "../../address.ts";
import { cutUser } from "../../login.ts";
import { decodeText } from "../../spool/entry.ts";
import type { LogFormat } from "./formats.ts";

/** From 1.0 on; the elements after rip= are the administrator's to choose. */
const LOGIN =
  /^(imap|pop3)-login: (?:Info: )?(?:Login|Logged in): user=<(.*)>, (?:method=[\w-]+, )?rip=([\da-f.:]+)(?:, [^<>]*)?(?:<[\w+/=]*>)?$/i;

/** Dovecot. */
export const dovecot: LogFormat = {
  name: "dovecot",
  isOf: ({ program, text }) => program === "dovecot" || /^(?:imap|pop3)-login: /.test(text),
  parse: ({ text }) => {
    const [, service = "", user = "", rip = ""] = LOGIN.exec(text) ?? [];
    const address = parseAddress(rip);
    if (address === undefined || text.split("rip=").length > 2) return undefined;
    return { address, user: cutUser(decodeText(Buffer.from(user, "latin1"))), service };
  },
};
