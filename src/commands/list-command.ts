import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { formatDuration } from "../lib/duration.ts";
import { EX, PopbsmtpError } from "../lib/errors.ts";
import type { Authorization } from "../stores/store.ts";
import type { StoreGroup } from "../writers/store-group.ts";
import { formatTime, printable, width } from "../lib/terminal.ts";
import { withStore, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

export interface ListOptions {
  /** An array for programs instead of a table for people. Default false. */
  readonly json?: boolean;
  /** Include authorizations that have expired and are not purged yet. Default false. */
  readonly all?: boolean;
}

export function listCommand(context: Context): Command {
  return new DocumentedCommand("list")
    .summary("list the addresses that may relay")
    .description(
      "Lists the authorizations in the store that are still valid, the latest login first: address, user, service, first and last login, number of logins, and the time left. Addresses that exclude lists are marked; they do not count. Logins that still wait in the spool are not listed.",
    )
    .option(
      "--json",
      "print a JSON array of {address, user, service, firstSeen, lastSeen, logins}, without excluded addresses",
    )
    .option(
      "--all",
      "include authorizations that have expired but are not yet purged, and, with --json, excluded addresses",
    )
    .exitStatus(EX.TEMPFAIL, "the store cannot be reached")
    .example("popbsmtp list", "popbsmtp list --json | jq -r '.[] | select(.logins > 9).user'")
    .action(async (options: ListOptions, command: Command) => {
      await withStore(context, command, "writer", async (store, config) => {
        await list(store, config, options, context);
        await noteWaiting(config, context);
      });
    });
}

/** Prints the authorizations in a store. */
export async function list(
  store: Pick<StoreGroup, "list">,
  { lifetime, exclude }: Pick<Config, "lifetime" | "exclude">,
  { json = false, all = false }: ListOptions,
  { terminal, now }: Pick<Context, "terminal" | "now">,
): Promise<void> {
  const authorizations = await store.list({ all });
  const isExcluded = ({ address }: Authorization) =>
    exclude.some(({ contains }) => contains(address));
  if (json) {
    terminal.print(toJson(authorizations.filter((row) => all || !isExcluded(row))));
    return;
  }
  if (authorizations.length === 0) {
    terminal.note(all ? "The store is empty." : "No address may relay by a login at present.");
    return;
  }
  const rows = authorizations.map((row) => {
    const left = lifetime - (now() - +row.lastSeen);
    return cells(row, isExcluded(row) ? "excluded" : left > 0 ? span(left) : "expired");
  });
  const [header = "", ...lines] = align([HEADER, ...rows]);
  terminal.print(terminal.color ? `\u001B[1m${header}\u001B[22m` : header);
  for (const line of lines) terminal.print(line);
}

const HEADER = ["address", "user", "service", "first seen", "last seen", "logins", "valid for"];

/** Logins in the spool are not listed, although the daemon may know them. */
async function noteWaiting({ spool }: Pick<Config, "spool">, { terminal }: Context): Promise<void> {
  const { Spool } = await import("../spool/spool.ts");
  try {
    const { length } = (await new Spool(spool).survey()).backlog;
    if (length === 0) return;
    const what = length === 1 ? "1 login waits" : `${length} logins wait`;
    terminal.note(`popbsmtp: ${what} in the spool, and may not be listed yet`);
  } catch (error) {
    // no spool, or this user cannot read it
    if (!(error instanceof PopbsmtpError)) throw error;
  }
}

function span(left: number): string {
  return formatDuration(Math.ceil(left / 1000) * 1000);
}

function cells(row: Authorization, validFor: string): readonly string[] {
  return [
    row.address,
    row.user || "-",
    row.service || "-",
    row.firstSeen === undefined ? "-" : formatTime(row.firstSeen),
    formatTime(row.lastSeen),
    row.logins === undefined ? "-" : String(row.logins),
    validFor,
  ].map(printable);
}

/** Lines with aligned columns. */
function align(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = HEADER.map((_, column) =>
    Math.max(...rows.map((row) => width(row[column] ?? ""))),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - width(cell)))
      .join("  ")
      .trimEnd(),
  );
}

/** One authorization a line, safe for a terminal: people do look at JSON. */
function toJson(authorizations: readonly Authorization[]): string {
  if (authorizations.length === 0) return "[]";
  const lines = authorizations.map((row) =>
    printable(
      JSON.stringify({
        address: row.address,
        user: row.user ?? null,
        service: row.service ?? null,
        firstSeen: row.firstSeen ?? null,
        lastSeen: row.lastSeen,
        logins: row.logins ?? null,
      }),
    ),
  );
  return `[\n  ${lines.join(",\n  ")}\n]`;
}
