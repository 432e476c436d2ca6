/**
 * What can go wrong, each with the exit status (sysexits.h) the command line ends with.
 *
 * Messages read `subject: key: reason`; main.ts puts the program's name in front. A subclass exists only
 * where a caller does something else because of it.
 */
export class PopbsmtpError extends Error {
  override name = "PopbsmtpError";
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number, options?: ErrorOptions) {
    super(message, options);
    this.exitStatus = exitStatus;
  }
}

/** sysexits.h, the statuses scripts and cron jobs may rely on. */
export const EX = {
  OK: 0,
  NO: 1,
  USAGE: 64,
  DATAERR: 65,
  SOFTWARE: 70,
  CANTCREAT: 73,
  TEMPFAIL: 75,
  NOPERM: 77,
  CONFIG: 78,
} as const;

/** The command line is wrong. */
export class UsageError extends PopbsmtpError {
  override name = "UsageError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.USAGE, options);
  }
}

/** A system call's code, such as "ENOENT"; undefined where an error has none. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

/** Whether an error is a system call's, with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(codeOf(error) ?? "");
}

/** The configuration is wrong; `problems` has a line for each thing to change. */
export class ConfigError extends PopbsmtpError {
  override name = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join("\n"), EX.CONFIG, options);
    this.problems = problems;
  }
}

/** The store cannot be reached or does not work now (down, hanging, password refused, table missing): try later. */
export class StoreAwayError extends PopbsmtpError {
  override name = "StoreAwayError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.TEMPFAIL, options);
  }
}

/** Some of several stores have answered, and others cannot: to ask again is no trouble to those. */
export class PartlyAwayError extends StoreAwayError {
  override name = "PartlyAwayError";
}

/** The store works but will not take these very rows (too long for a column, not in its character set): trying later is no use. */
export class RowRefusedError extends PopbsmtpError {
  override name = "RowRefusedError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.DATAERR, options);
  }
}

/** The store has no such thing: DRAC takes logins, and tells nothing. Trying later, or differently, is no use. */
export class UnsupportedError extends PopbsmtpError {
  override name = "UnsupportedError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.CONFIG, options);
  }
}

/**
 * The reason an error gives, in one printable line. Where several addresses of a name were tried,
 * Node's AggregateError has an empty message, and the reasons are inside.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text =
    error instanceof AggregateError && error.message === ""
      ? error.errors.map(reasonOf).join(", ")
      : error.message || error.name;
  // a server may quote what a client sent
  return text.replaceAll(/\p{Cc}+/gu, " ");
}
