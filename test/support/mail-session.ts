import type { Dovecot } from "./dovecot.ts";

export interface MailSession {
  /** All that the server sent, as Latin-1, but for the times in it. */
  readonly transcript: string;
  /** How long the login took, in milliseconds. */
  readonly ms: number;
}

/** Logs in, looks into the empty mailbox, and logs out. Throws where anything of that is refused. */
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

/** How long commands took, and when the mailbox was made. */
const VARYING = /\([\d.+ ]+ secs\)|(?<=UIDVALIDITY )\d+|(?<=HIGHESTMODSEQ )\d+/g;
