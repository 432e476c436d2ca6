import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import type { Time } from "../lib/clock.ts";
import { DURATION_SPELLING, parseDuration } from "../lib/duration.ts";
import { EX, UsageError, hasCode } from "../lib/errors.ts";
import type { Formats } from "../mail-formats/formats.ts";
import type { Selection } from "../sources/mail-log/selector.ts";
import { printable } from "../lib/terminal.ts";
import { enter, openConfiguredWriters, reportTo, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";
import { emptySpool } from "./drain-command.ts";

/** How many logins that do not count are shown for each log. */
const REFUSALS = 10;

interface WatchCommandOptions {
  readonly once?: boolean;
  readonly format?: string;
  readonly since?: string;
}

export function watchCommand(context: Context): Command {
  return new DocumentedCommand("watch")
    .summary("record the logins that a mail log reports")
    .description(
      "Follows a mail server's log, across rotation, and records each login in it at the time that the log gives. It remembers how far it has read. Logins go through the spool, which this process drains unless another one does. SIGTERM ends it.",
    )
    .argument("[file]", 'the log, or "-" for standard input (default: file in [watch])')
    .option("--once", "read to the end of the log, write what was found to the store, and exit")
    .option(
      "--format <name>",
      "the format of the lines, such as dovecot (default: format or pattern in [watch])",
    )
    .option(
      "--since <time>",
      'read again from this time on: "2h" for two hours ago, or "2026-03-03 10:00" (default: where it stopped reading)',
    )
    .exitStatus(EX.USAGE, "with --once: there is no such log")
    .exitStatus(
      EX.TEMPFAIL,
      "at its end, the store cannot be reached; the logins stay in the spool",
    )
    .example(
      "popbsmtp watch /var/log/mail.log",
      "popbsmtp watch --once --since 2h /var/log/mail.log",
      "journalctl -f -o short-iso -u dovecot | popbsmtp watch -",
    )
    .action(
      async (
        file: string | undefined,
        { once = false, since, format }: WatchCommandOptions,
        command: Command,
      ) => {
        const from = sinceArgument(since, context.now());
        // wrappers of any user may have to read a drain's files in the spool
        process.umask(0o022);
        const config = await enter(command);
        const leaving = new AbortController();
        for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
          process.once(signal, () => leaving.abort());
        }
        const formats = await formatsOf(format, config);
        const watching = { config, context, formats, since: from, signal: leaving.signal };
        if (file === "-") await watchInput(watching);
        else if (once) await readOnce(watching, paths(file, config));
        else await watchFiles(watching, paths(file, config), leaving);
      },
    );
}

interface Watching {
  readonly config: Config;
  readonly context: Context;
  readonly formats: Formats;
  readonly since: Time | undefined;
  readonly signal: AbortSignal;
}

function sinceArgument(text: string | undefined, now: Time): Time | undefined {
  if (text === undefined) return undefined;
  const ago = parseDuration(text);
  if (ago !== undefined) return now - ago;
  // Date.parse() would take a date without a time as UTC
  const time = Date.parse(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text} 00:00` : text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(time)) return time;
  throw new UsageError(
    `--since: ${text} is not a time; expected ${DURATION_SPELLING}, or one such as "2026-03-03 10:00"`,
  );
}

async function formatsOf(name: string | undefined, { watch }: Config): Promise<Formats> {
  if (name === undefined) return watch.formats;
  const { Formats } = await import("../mail-formats/formats.ts");
  return Formats.named(name);
}

function paths(file: string | undefined, { watch }: Config): readonly string[] {
  return file === undefined ? watch.files : [resolve(file)];
}

async function watchInput(watching: Watching): Promise<void> {
  const { watchStream } = await import("../sources/mail-log/watch-log.ts");
  const { Spool } = await import("../spool/spool.ts");
  const { config, signal } = watching;
  const spool = new Spool(config.spool);
  const end = () => process.stdin.destroy();
  signal.addEventListener("abort", end, { once: true });
  const read = async () => {
    await watchStream(process.stdin, { ...selection(watching, "standard input"), spool });
  };
  await whileDrained(watching, () => read().catch((error: unknown) => unlessEnded(signal, error)));
  await emptySpool(config, watching.context);
}

/** A stream that is closed early throws. */
function unlessEnded(signal: AbortSignal, error: unknown): void {
  if (!signal.aborted) throw error;
}

async function readOnce(watching: Watching, files: readonly string[]): Promise<void> {
  const { config, context, signal } = watching;
  for (const path of files) {
    await stat(path).catch((cause: unknown) => refuseMissing(path, cause));
    await watchFile(watching, path, signal, true);
  }
  await emptySpool(config, context);
}

function refuseMissing(path: string, cause: unknown): void {
  if (!hasCode(cause, "ENOENT")) return;
  throw new UsageError(`${path}: there is no such file`, { cause });
}

/** @param leaving ends the others when one of them fails */
async function watchFiles(
  watching: Watching,
  files: readonly string[],
  leaving: AbortController,
): Promise<void> {
  await whileDrained(watching, async () => {
    const all = files.map((path) => watchFile(watching, path, leaving.signal, false));
    try {
      await Promise.all(all);
    } finally {
      leaving.abort();
      await Promise.allSettled(all);
    }
  });
}

async function watchFile(
  watching: Watching,
  path: string,
  signal: AbortSignal,
  once: boolean,
): Promise<void> {
  const { watchLog } = await import("../sources/mail-log/watch-log.ts");
  const { config, context } = watching;
  const { terminal } = context;
  const report = reportTo(terminal);
  await watchLog({
    ...selection(watching, path),
    path,
    spool: config.spool,
    once,
    signal,
    onGap: ({ offset }) =>
      report(
        `${path}: what came after its byte ${offset} is gone: the file was rotated, and compressed or deleted, while it was not watched`,
      ),
    onPolling: report,
    onProgress: (rest) =>
      terminal.progress(rest === 0 ? "" : printable(`${path}: ${megabytes(rest)} MB to read`)),
  });
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}

/** The criteria for logins, and how to report them to people. */
function selection(watching: Watching, name: string): Selection {
  const { config, context, formats, since } = watching;
  const { lifetime, watch } = config;
  const report = reportTo(context.terminal);
  return {
    formats,
    admission: config,
    lifetime,
    since,
    now: context.now,
    quietAfter: watch.quietAfter,
    onRefused: refusals(name, report),
    onQuiet: ({ lines, sample }) =>
      report(
        `${name}: ${lines} lines read, none of them from an IMAP or POP3 server; the first: ${sample}`,
      ),
  };
}

/**
 * Reports only the first logins that do not count: an old log, or one from another time zone, may
 * contain thousands.
 */
function refusals(name: string, report: (line: string) => void): Selection["onRefused"] {
  let shown = 0;
  return (why, sample) => {
    shown += 1;
    if (shown > REFUSALS) return;
    report(`${name}: a login does not count, ${why}: ${sample}`);
    if (shown === REFUSALS) report(`${name}: further ones are not shown`);
  };
}

/** Does `work` while a drain empties the spool. */
async function whileDrained(
  { config, context }: Watching,
  work: () => Promise<void>,
): Promise<void> {
  const { keepDrained } = await import("../drain/keep-drained.ts");
  const done = new AbortController();
  const writers = await openConfiguredWriters(config, { now: context.now });
  const drained = keepDrained(config, writers, {
    signal: done.signal,
    now: context.now,
    report: reportTo(context.terminal),
  });
  try {
    await work();
  } finally {
    done.abort();
    await drained;
    await writers.close();
  }
}
