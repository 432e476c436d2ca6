/**
 * The errors of popbsmtp, each with the exit status (sysexits.h) of the command line.
 *
 * Messages have the form `subject: key: reason`; main.ts puts the program's name in front. A
 * subclass exists only if a caller handles it differently.
 */
export class PopbsmtpError extends Error {
  override name = "PopbsmtpError";
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number, options?: ErrorOptions) {
    super(message, options);
    this.exitStatus = exitStatus;
  }
}

/** sysexits.h, and 1 for a negative answer. Scripts and cron jobs may rely on these. */
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

/** An error in the command line. */
export class UsageError extends PopbsmtpError {
  override name = "UsageError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.USAGE, options);
  }
}

/** The code of a system error, such as "ENOENT"; undefined for other errors. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

/** Whether an error is a system error with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(codeOf(error) ?? "");
}

/** Errors in the configuration; `problems` has one line for each. */
export class ConfigError extends PopbsmtpError {
  override name = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join("\n"), EX.CONFIG, options);
    this.problems = problems;
  }
}

/**
 * The store is unreachable or does not work now (down, hanging, password rejected, table missing):
 * try later.
 */
export class StoreAwayError extends PopbsmtpError {
  override name = "StoreAwayError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.TEMPFAIL, options);
  }
}

/**
 * Some of several stores have answered, but others cannot. Asking again does not burden the former.
 */
export class PartlyAwayError extends StoreAwayError {
  override name = "PartlyAwayError";
}

/**
 * The store works but rejects these rows (too long for a column, not in its character set). Trying
 * later is no use.
 */
export class RowRefusedError extends PopbsmtpError {
  override name = "RowRefusedError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.DATAERR, options);
  }
}

/**
 * The store lacks the operation: DRAC accepts logins, and answers no queries. Trying again is no
 * use.
 */
export class UnsupportedError extends PopbsmtpError {
  override name = "UnsupportedError";
  constructor(message: string, options?: ErrorOptions) {
    super(message, EX.CONFIG, options);
  }
}

/** What was thrown, as an error. */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/**
 * The reason for an error, in one printable line. If Node tried several addresses of a host, its
 * AggregateError has an empty message, and the reasons are inside.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text =
    error instanceof AggregateError && error.message === ""
      ? error.errors.map(reasonOf).join(", ")
      : error.message || error.name;
  // the message of a server may quote a client's input
  return text.replaceAll(/\p{Cc}+/gu, " ");
}
