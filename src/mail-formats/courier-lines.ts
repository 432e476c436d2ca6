import { found, splitOnce, TWO_WAYS, type ProgramFormat } from "./format.ts";

/** Courier's imapd and pop3d, with or without TLS. Lines may begin with their level. */
const LOGIN = /^(?:INFO: )?LOGIN, user=(.*)$/s;
const AFTER = /^([^\]]*)\](?:, port=\[\d*\])?(?:, protocol=(\w*))?(?:, (?:start|s)tls=1)?$/;

/**
 * Courier: `LOGIN, user=bob, ip=[192.0.2.1], port=[51234], protocol=IMAP`. The name may contain any
 * character.
 */
export const courier: ProgramFormat = {
  name: "courier",
  programs: /^(?:courier-?)?(?:imap|pop3|tcp)(?:d|login)(?:-ssl)?$/,
  // courierlogger cuts at 511 bytes, then strips "INFO: " from the first piece
  cutAt: 500,
  stripped: /^(?:INFO: )?LOGIN FAILED, user=/,
  read: (text, program) => {
    const [, rest] = LOGIN.exec(text) ?? [];
    if (rest === undefined) return undefined;
    const [user, after] = splitOnce(rest, ", ip=[") ?? [];
    const [, address, protocol = program] = AFTER.exec(after ?? "") ?? [];
    if (user === undefined || address === undefined) return TWO_WAYS;
    return found(address, user, /pop3/i.test(protocol) ? "pop3" : "imap");
  },
};
