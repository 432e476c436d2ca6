import { Command } from "commander";
import { hasTable, type Config, type StoreConfig } from "../config/config.ts";
import { placeOf } from "../config/place.ts";
import { ConfigError, UnsupportedError } from "../errors.ts";
import type { Owner } from "../stores/sqlite-file.ts";
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
      const tables = stores.filter(hasTable);
      if (tables.length === 0) throw noTable(stores);
      for (const store of tables) {
        if (stores.length > 1) terminal.print(`-- ${placeOf(store)}`);
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
      const { together } = await import("../stores/several-answers.ts");
      const errors = await installEach(config, context);
      const [first] = errors;
      const troubles = errors.filter((error) => !(error instanceof UnsupportedError));
      if (troubles.length > 0) throw together(troubles);
      if (first !== undefined && errors.length === config.stores.length) throw first;
    });
}

/**
 * Installs each of the stores whatever becomes of the others, and returns what went wrong.
 *
 * Files are still root's to make: a directory is created where only root may, and then belongs to the configured user and to Postfix's
 * group. A server is connected to as that user: it may know it by that.
 */
async function installEach(config: Config, context: Context): Promise<readonly Error[]> {
  const { accountOf, dropPrivileges, findAccount, isRoot } = await import("../privileges.ts");
  const isFile = (store: StoreConfig) => "path" in store;
  const errors: Error[] = [];
  const installAll = async (which: (store: StoreConfig) => boolean, owner?: Owner) => {
    for (const store of config.stores.filter(which)) {
      const opened = await openConfigured({ ...config, stores: [store] }, { owner });
      try {
        await install(opened, context);
      } catch (error) {
        errors.push(error instanceof Error ? error : new Error(String(error)));
      } finally {
        await opened.close();
      }
    }
  };
  if (config.stores.some(isFile) && isRoot()) {
    const { uid, gid } = accountOf(config.user);
    await installAll(isFile, { uid, gid: findAccount("postfix")?.gid ?? gid });
  } else {
    await installAll(isFile);
  }
  dropPrivileges(config.user);
  await installAll((store) => !isFile(store));
  return errors;
}

function noTable(stores: readonly StoreConfig[]): ConfigError {
  const drivers = [...new Set(stores.map(({ driver }) => driver))].join(", ");
  return new ConfigError([`store.driver: ${drivers} has no tables`]);
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
