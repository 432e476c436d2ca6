/**
 * How mail servers write of a login in their log.
 *
 * A user chooses their name, and most servers print it before the address: `user=<x>, rip=198.51.100.1>, ..., rip=192.0.2.1`. So each
 * format reads the whole message, from both ends, and what could be read in two ways is no login.
 */
import type { Address } from "../../address.ts";
import { dovecot } from "./dovecot.ts";

/** A login as a line tells of it. */
export interface ParsedLogin {
  readonly address: Address;
  readonly user: string;
  /** "imap" or "pop3". */
  readonly service: string;
}

/** A line of a log, taken apart as far as every format wants it. Text is Latin-1: a character for each byte. */
export interface LogMessage {
  /** The program that wrote it, without its process id; "" where the line does not say. */
  readonly program: string;
  /** What it wrote. */
  readonly text: string;
}

export interface LogFormat {
  /** What `format` in the configuration calls it. */
  readonly name: string;
  /** Whether the message is this server's, be it a login or not. */
  readonly isOf: (message: LogMessage) => boolean;
  /** The login that the message tells of; undefined where it tells of none, or could be read in two ways. */
  readonly parse: (message: LogMessage) => ParsedLogin | undefined;
}

/** Those that are built in. */
export const FORMATS: readonly LogFormat[] = [dovecot];
