import { Command } from "commander";
import { hasTable, type Config } from "../config/config.ts";
import type { Store } from "../stores/store.ts";
import { configOf, examples, openConfigured, type Context } from "./context.ts";

export function schemaCommand(context: Context): Command {
  return new Command("schema")
    .summary("show or create the store's tables")
    .description("Shows or creates the tables of the configured store.")
    .addCommand(printCommand(context))
    .addCommand(installCommand(context));
}

function printCommand({ terminal }: Context): Command {
  return new Command("print")
    .description("Prints the SQL that makes the tables, for psql, mariadb or sqlite3.")
    .option(
      "--roles",
      "instead, the SQL that makes the database accounts and says what each may do",
    )
    .addHelpText(
      "after",
      examples(
        "popbsmtp schema print | psql -v ON_ERROR_STOP=1 -1 -d mail",
        "popbsmtp schema print --roles | psql -v ON_ERROR_STOP=1 -1 -d mail",
      ),
    )
    .action(async ({ roles = false }: { roles?: boolean }, command: Command) => {
      const { stores } = await configOf(command);
      const { rolesText, schemaText } = await import("../stores/open.ts");
      for (const store of stores.filter(hasTable)) {
        terminal.print((roles ? rolesText(store) : schemaText(store)).trimEnd());
      }
    });
}

function installCommand(context: Context): Command {
  return new Command("install")
    .description(
      "Creates the tables, or upgrades those of an older version. Doing it again changes nothing; logins may go on meanwhile.",
    )
    .addHelpText("after", examples("popbsmtp schema install"))
    .action(async (_options: unknown, command: Command) => {
      const config = await configOf(command);
      const store = await openForInstall(config);
      try {
        await install(store, context);
      } finally {
        await store.close();
      }
    });
}

/**
 * The store, still as root for a file: its directory is created where only root may, and then belongs to the configured user and to
 * Postfix's group.
 */
async function openForInstall(config: Config): Promise<Store> {
  const { accountOf, dropPrivileges, findAccount, isRoot } = await import("../privileges.ts");
  if (!config.stores.some((store) => "path" in store) || !isRoot()) {
    dropPrivileges(config.user);
    return openConfigured(config);
  }
  const { uid, gid } = accountOf(config.user);
  return openConfigured(config, { owner: { uid, gid: findAccount("postfix")?.gid ?? gid } });
}

/** Creates or upgrades a store's tables and says what it did. */
export async function install(
  store: Store,
  { terminal }: Pick<Context, "terminal">,
): Promise<void> {
  const { from, to } = await store.install();
  terminal.print(`${store.name}: ${outcome(from, to)}`);
}

function outcome(from: number | undefined, to: number | undefined): string {
  if (to === undefined) return from === 0 ? "made" : "your own; left as it is";
  if (from === 0) return `schema version ${to} installed`;
  return from === to
    ? `schema version ${to} is there already`
    : `upgraded from schema version ${from} to ${to}`;
}
