/** How fast a mail log is read, the first time or after the watcher was down. */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Terminal } from "../src/lib/terminal.ts";
import { loginLine, noiseLines } from "../test/support/mail-log.ts";
import { runOk } from "../test/support/run.ts";
import { table } from "./report.ts";
import type { Site } from "./site.ts";
import { statistics } from "./statistics.ts";

const ROUNDS = 3;

/**
 * The number of logins in the log that have not expired. More of them would measure the drain,
 * which has a table of its own.
 */
const IN_TIME = 200;

export interface WatchBenchOptions {
  readonly megabytes: number;
}

/**
 * The least work of a watcher with one pattern: the loop of pop-before-smtp.pl without its files
 * and databases, with the Dovecot wiki's pattern for Dovecot 1.0.
 */
const PERL = String.raw`
use POSIX;
my %month; @month{qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec)} = 0 .. 11;
my $year = (localtime)[5];
while (<>) {
  next unless /^(\w{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) \S+ (?:dovecot: )?(?:imap|pop3)-login: Login: .*? rip=(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)/;
  $seen{$6} = mktime($5, $4, $3, $2, $month{$1}, $year, 0, 0, -1);
}`;

export async function watch(
  site: Site,
  { megabytes }: WatchBenchOptions,
  terminal: Terminal,
): Promise<string> {
  const log = join(site.path, "mail.log");
  const { lines, logins } = writeLog(log, megabytes * 1_000_000);
  const perl: number[] = [];
  const popbsmtp = new Map(site.stores.map(({ driver }) => [driver, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    terminal.progress(`watch: round ${String(round + 1)} of ${String(ROUNDS)}`);
    perl.push(await seconds(() => runOk("perl", ["-e", PERL, log], { timeout: 600_000 })));
    for (const store of site.stores) {
      await using station = await site.station(store, `watch${String(round)}`);
      await store.clear();
      const time = await seconds(() => station.popbsmtp("watch", "--once", log));
      popbsmtp.get(store.driver)?.push(time);
      const found = await store.logins();
      if (found !== IN_TIME) {
        throw new Error(`${String(IN_TIME)} logins, but ${String(found)} in ${store.driver}`);
      }
    }
  }
  const row = (name: string, times: readonly number[]) => {
    const { median, longest } = statistics(times);
    const speed = (lines / median / 1000).toFixed(0);
    return [name, median.toFixed(2), longest.toFixed(2), speed, (megabytes / median).toFixed(0)];
  };
  return [
    `A log of ${String(megabytes)} MB: ${String(lines)} lines, ${String(logins)} logins, of which ${String(IN_TIME)} not out of time; ${String(ROUNDS)} rounds.`,
    "popbsmtp watch --once, from the start of the process until these are committed; Perl: one pattern, an address and a time into a hash.",
    "",
    table(
      ["", "median s", "longest s", "1000 lines/s", "MB/s"],
      [
        row("perl, one pattern", perl),
        ...[...popbsmtp].map(([driver, times]) => row(`popbsmtp, ${driver}`, times)),
      ],
    ),
  ].join("\n");
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** One line in ten is a login; the last logins are from now, the others an hour old. */
function writeLog(
  path: string,
  bytes: number,
): { readonly lines: number; readonly logins: number } {
  const file = openSync(path, "w");
  const now = Date.now();
  const size = entry(0, now).length;
  const logins = Math.ceil(bytes / size);
  for (let n = 0; n < logins; n++) {
    writeSync(file, entry(n, logins - n > IN_TIME ? now - 3_600_000 : now));
  }
  closeSync(file);
  return { lines: logins * 10, logins };
}

function entry(n: number, time: number): string {
  const address = `2001:db8::${(n >> 16).toString(16)}:${(n & 0xffff).toString(16)}`;
  return loginLine(`u${String(n)}@example.org`, address, time) + noiseLines(n, time).repeat(3);
}
