import type { Dovecot } from "./dovecot.ts";

export interface MailSession {
  /** All text from the server, as Latin-1, except for the times in it. */
  readonly transcript: string;
  /** The duration of the login in milliseconds. */
  readonly ms: number;
}

/** Logs in, looks into the empty mailbox, and logs out. Throws if any of these fails. */
export async function readMail(
  dovecot: Dovecot,
  protocol: "imap" | "pop3",
  user: string,
  from = "127.0.0.1",
): Promise<MailSession> {
  using client = await dovecot[protocol]({ from });
  const ms = await client.login(user, dovecot.password);
  for (const command of protocol === "imap" ? ["NAMESPACE", "SELECT INBOX"] : ["STAT", "NOOP"]) {
    await client.command(command);
  }
  await client.logout();
  return { transcript: client.received.toString("latin1").replaceAll(VARYING, "*"), ms };
}

/** The durations of commands, and the time at which the mailbox was created. */
const VARYING = /\([\d.+ ]+ secs\)|(?<=UIDVALIDITY )\d+|(?<=HIGHESTMODSEQ )\d+/g;
