import { Option, type Command } from "commander";
import {
  STORES,
  SUPERVISORS,
  type SetupAnswers,
  type StoreChoice,
  type Supervisor,
} from "../plan/setup-answers.ts";
import type { Step, WrittenFile } from "../plan/step.ts";
import type { Survey } from "../plan/survey.ts";
import { EX, PopbsmtpError, UsageError } from "../lib/errors.ts";
import { printable } from "../lib/terminal.ts";
import type { Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

interface SetupOptions {
  readonly store?: StoreChoice;
  readonly database: string;
  readonly daemon?: Supervisor;
  readonly service?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly undo?: boolean;
}

export function setupCommand(context: Context): Command {
  return new DocumentedCommand("setup")
    .summary("set up popbsmtp with this host's Dovecot and Postfix")
    .description(
      `Sets up everything from an installed popbsmtp to a server that relays: the account and the directories, the configuration, the database and its tables, Dovecot's lines in a file of their own (conf.d/99-popbsmtp.conf), and Postfix's restrictions. Then it authorizes an address that no host has, asks as Postfix does, takes that back, and runs popbsmtp doctor. Run it as root.

It asks what it has to know, shows the plan, and does it after a yes. If a step fails, everything is taken back, and the mail server is as it was. What is there already stays: a configuration that contains any setting is used as it is, and another run changes nothing.`,
    )
    .addOption(
      new Option("--store <driver>", "where to store authorizations (default: sqlite)").choices(
        STORES,
      ),
    )
    .option("--database <name>", "the database, for pgsql and mysql", "mail")
    .addOption(
      new Option("--daemon <supervisor>", "who runs the daemon (default: dovecot)").choices(
        SUPERVISORS,
      ),
    )
    .option(
      "--service <service>",
      "the service of master.cf whose clients may relay, such as submission/inet (default: every one that has no restrictions of its own)",
    )
    .option("-y, --yes", "do it without asking; what no option answers has its default")
    .option("--dry-run", "print the plan as a shell script, and do nothing")
    .option(
      "--undo",
      "take popbsmtp out of Dovecot and Postfix again; the configuration and the store stay",
    )
    .exitStatus(EX.NO, "the answer to the question was no")
    .exitStatus(EX.CANTCREAT, "a step failed, and everything was taken back")
    .exitStatus(EX.CONFIG, "something has to be decided by hand first")
    .example(
      "popbsmtp setup",
      "popbsmtp setup --store sqlite --yes",
      "popbsmtp setup --store pgsql --dry-run > setup.sh",
      "popbsmtp setup --undo",
    )
    .action(async (_options: unknown, command: Command) => setup(context, command));
}

async function setup(context: Context, command: Command): Promise<number> {
  const { terminal } = context;
  const options = command.optsWithGlobals<SetupOptions & { readonly config?: string }>();
  if (options.config !== undefined) {
    throw new UsageError("--config: setup writes /etc/popbsmtp/popbsmtp.toml, and no other file");
  }
  if (!/^[A-Za-z_]\w{0,62}$/.test(options.database)) {
    throw new UsageError(
      `--database: ${options.database}: expected letters, digits and _, such as mail`,
    );
  }
  const { isRoot } = await import("../system/privileges.ts");
  if (!isRoot()) {
    throw new PopbsmtpError("setup: only root can set up popbsmtp: run it with sudo", EX.NOPERM);
  }
  const isPerson = terminal.interactive && process.stdin.isTTY;
  const { survey } = await import("../plan/survey.ts");
  const { assertFinished, perform, scriptOf, undo } = await import("../plan/perform.ts");
  const progress = {
    onStep: (title: string) => terminal.note(`- ${title}`),
    onOutput: (text: string) => {
      for (const line of text.trim().split("\n")) {
        if (line !== "") terminal.note(`    ${printable(line)}`);
      }
    },
  };
  if (options.undo === true) {
    const isUndone = await undo(progress);
    terminal.print(
      isUndone
        ? "Dovecot and Postfix are as they were before popbsmtp setup."
        : "There is nothing to take back: popbsmtp setup has done nothing here.",
    );
    return EX.OK;
  }
  assertFinished();
  const found = await survey();
  const { makePlan } = await import("../plan/make-plan.ts");
  const asks = isPerson && options.yes !== true && options.dryRun !== true;
  const answers = asks ? await askPerson(found, options) : defaults(found, options);
  if (answers === undefined) return EX.NO;
  const steps = await makePlan(found, answers);
  if (steps.length === 0) {
    terminal.print("popbsmtp is set up already; popbsmtp doctor checks it.");
    return EX.OK;
  }
  if (options.dryRun === true) {
    terminal.print(scriptOf(steps));
    return EX.OK;
  }
  if (options.yes !== true) {
    if (!isPerson) {
      throw new UsageError(
        "setup: there is no terminal to ask at: add --yes to do it, or --dry-run to see what it would do",
      );
    }
    await show(context, steps);
    const { confirm } = await import("@clack/prompts");
    if ((await confirm({ message: "Do this now?", initialValue: false })) !== true) return EX.NO;
  }
  await perform(steps, progress);
  terminal.print(
    "Done: who has just read mail from an address may send mail from it. popbsmtp list shows who.",
  );
  return EX.OK;
}

function defaults(found: Survey, options: SetupOptions): SetupAnswers {
  const { store = "sqlite", database, daemon = supervisorOf(found), service } = options;
  return { store, database, daemon, service };
}

/** Who runs the daemon already; otherwise Dovecot, which is there in any case. */
function supervisorOf({ dovecot }: Survey): SetupAnswers["daemon"] {
  const { before = "service popbsmtp {" } = dovecot;
  return before.includes("service popbsmtp {") ? "dovecot" : "systemd";
}

/** Asks what no option has answered. undefined if the person leaves. */
async function askPerson(found: Survey, options: SetupOptions): Promise<SetupAnswers | undefined> {
  const { intro, isCancel, select } = await import("@clack/prompts");
  const { dovecot, postfix, stores, config } = found;
  const answers = { ...defaults(found, options) };
  intro(`Dovecot ${dovecot.version} and Postfix ${postfix.version} are here.`);
  if (config === undefined && options.store === undefined) {
    const store = await select({
      message: "Where are authorizations to be stored?",
      options: stores.map((value) => ({ value, ...STORE_LABELS[value] })),
    });
    if (isCancel(store)) return undefined;
    answers.store = store;
  }
  if (config === undefined && options.daemon === undefined && found.systemd) {
    const daemon = await select({
      message: "Who is to run the daemon?",
      options: [
        {
          value: "dovecot" as const,
          label: "Dovecot's master",
          hint: "starts and stops with Dovecot",
        },
        { value: "systemd" as const, label: "systemd", hint: "sandboxed, and never root" },
      ],
    });
    if (isCancel(daemon)) return undefined;
    answers.daemon = daemon;
  }
  if (options.service === undefined && postfix.services.size > 1) {
    const everywhere = "";
    const service = await select({
      message: "Whose clients may relay?",
      options: [
        { value: everywhere, label: "Every port without restrictions of its own", hint: "main.cf" },
        ...[...postfix.services.keys()].map((value) => ({ value, label: `Only ${value}` })),
      ],
    });
    if (isCancel(service)) return undefined;
    answers.service = service === everywhere ? undefined : service;
  }
  return answers;
}

const STORE_LABELS = {
  sqlite: { label: "SQLite", hint: "a file; for Dovecot and Postfix on one host" },
  pgsql: { label: "PostgreSQL", hint: "the server on this host" },
  mysql: { label: "MariaDB or MySQL", hint: "the server on this host" },
} as const;

/** Prints the plan: what it does, its commands, and the difference in each file. */
async function show({ terminal }: Context, steps: readonly Step[]): Promise<void> {
  for (const { title, lines, file } of steps) {
    terminal.print(`\n# ${title}`);
    if (file === undefined) terminal.print(lines);
    else for (const line of await differences(file)) terminal.print(line);
  }
  terminal.print("");
}

async function differences({ path, text, before = "" }: WrittenFile): Promise<readonly string[]> {
  const { createTwoFilesPatch } = await import("diff");
  const patch = createTwoFilesPatch(path, path, before, text, undefined, undefined, { context: 2 });
  return patch
    .trimEnd()
    .split("\n")
    .filter((line) => !/^(?:=+|\\ No newline.*)$/.test(line))
    .map(printable);
}
