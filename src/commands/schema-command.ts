import type { Command } from "commander";
import { placeOf, hasTable, type Config, type StoreConfig } from "../config/config.ts";
import { ConfigError, EX, UnsupportedError, errorOf } from "../lib/errors.ts";
import type { StoreGroup } from "../writers/store-group.ts";
import { configOf, openConfigured, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

export function schemaCommand(context: Context): Command {
  return new DocumentedCommand("schema")
    .summary("print or create the tables of the store")
    .description("Prints the SQL for the tables of the configured store, or creates them.")
    .addCommand(printCommand(context))
    .addCommand(installCommand(context));
}

function printCommand({ terminal }: Context): Command {
  return new DocumentedCommand("print")
    .description("Prints the SQL that creates the tables, for psql, mariadb, mysql or sqlite3.")
    .option(
      "--roles",
      "print instead the SQL that creates the database accounts and grants each what it needs",
    )
    .example(
      "popbsmtp schema print | psql -v ON_ERROR_STOP=1 -1 -d mail",
      "popbsmtp schema print --roles | psql -v ON_ERROR_STOP=1 -1 -d mail",
    )
    .action(async ({ roles = false }: { roles?: boolean }, command: Command) => {
      const { stores } = await configOf(command);
      const { rolesText, schemaText } = await import("../writers/open-stores.ts");
      const tables = stores.filter(hasTable);
      if (tables.length === 0) throw noTable(stores);
      for (const store of tables) {
        if (stores.length > 1) terminal.print(`-- ${placeOf(store)}`);
        terminal.print((roles ? rolesText(store) : schemaText(store)).trimEnd());
      }
    });
}

function installCommand(context: Context): Command {
  return new DocumentedCommand("install")
    .description(
      "Creates the tables, the database file, or the directory of each configured store, or upgrades the tables of an older version. Running it again changes nothing, and logins may go on meanwhile.",
    )
    .exitStatus(EX.CANTCREAT, "the file or directory cannot be created")
    .exitStatus(EX.TEMPFAIL, "the store cannot be reached")
    .example("popbsmtp schema install")
    .action(async (_options: unknown, command: Command) => {
      const config = await configOf(command);
      const { together } = await import("../writers/answers.ts");
      const errors = await installEach(config, context);
      const [first] = errors;
      const troubles = errors.filter((error) => !(error instanceof UnsupportedError));
      if (troubles.length > 0) throw together(troubles);
      if (first !== undefined && errors.length === config.stores.length) throw first;
    });
}

/**
 * Installs each store, even if others fail, and returns the errors.
 *
 * Root creates the directories that require root, then becomes the configured user, since their
 * contents are that user's, who could put links there. Meanwhile its group is Postfix's, which must
 * be able to read the new files.
 */
async function installEach(config: Config, context: Context): Promise<readonly Error[]> {
  const made = await makeHomes(config);
  const errors: Error[] = [];
  for (const store of config.stores) {
    const opened = await openConfigured({ ...config, stores: [store] });
    try {
      await install(opened, context, made.has(store));
    } catch (error) {
      errors.push(errorOf(error));
    } finally {
      await opened.close();
    }
  }
  return errors;
}

/** The stores whose directories root has created. Afterwards this process is no longer root. */
async function makeHomes({ stores, user }: Config): Promise<ReadonlySet<StoreConfig>> {
  const { accountOf, dropPrivileges, findAccount, isRoot } =
    await import("../system/privileges.ts");
  const { homeOf, makeHomeAsRoot } = await import("../stores/home.ts");
  const made = new Set<StoreConfig>();
  if (!isRoot()) return made;
  const { uid, gid } = accountOf(user);
  const owner = { uid, gid: findAccount("postfix")?.gid ?? gid };
  for (const store of stores) {
    const home = homeOf(store);
    try {
      if (home !== undefined && makeHomeAsRoot(home, owner)) made.add(store);
    } catch {
      // the user tries again, and reports the error
    }
  }
  dropPrivileges(user, owner.gid);
  return made;
}

function noTable(stores: readonly StoreConfig[]): ConfigError {
  const drivers = [...new Set(stores.map(({ driver }) => driver))].join(", ");
  return new ConfigError([`store.driver: ${drivers} has no tables`]);
}

/**
 * Creates or upgrades a store's tables, and reports what it did.
 *
 * @param made whether its directory has just been created. Default: false
 */
export async function install(
  store: Pick<StoreGroup, "name" | "install">,
  { terminal }: Pick<Context, "terminal">,
  made = false,
): Promise<void> {
  const { from, to } = await store.install();
  terminal.print(`${store.name}: ${outcome(made ? 0 : from, to)}`);
}

function outcome(from: number | undefined, to: number | undefined): string {
  if (to === undefined) return from === 0 ? "made" : "your own table; left unchanged";
  if (from === 0) return `schema version ${to} installed`;
  return from === to
    ? `schema version ${to} is already installed`
    : `upgraded from schema version ${from} to ${to}`;
}
