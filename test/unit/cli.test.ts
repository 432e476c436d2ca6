import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { assertNamesSomething, createProgram, runCommandLine } from "../../src/cli.ts";
import type { Context } from "../../src/commands/context.ts";
import { loadConfig } from "../../src/config/reading/load.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { recorder } from "./commands/recorder.ts";

/**
 * Runs a command line that does not get as far as a store; returns what was said, and what was
 * thrown.
 */
async function run(...argv: readonly string[]) {
  const terminal = recorder();
  const context: Context = { terminal, now: () => 0 };
  let thrown: unknown;
  try {
    await runCommandLine(context, argv);
  } catch (error) {
    thrown = error;
  }
  return { out: terminal.printed.join("\n"), err: terminal.noted.join("\n"), thrown };
}

function assertThrown(thrown: unknown, expected: assert.AssertPredicate): void {
  assert.throws(() => {
    throw thrown;
  }, expected);
}

test("--help tells of the wrapper, the commands, the exit statuses and the files", async () => {
  const { out, err, thrown } = await run("--help");
  assert.equal(err, "");
  assertThrown(thrown, { exitCode: 0 });
  for (const words of [
    "[OPTION]... PROGRAM [ARG]...",
    "--wait MS",
    "--no-wait",
    "--no-drain",
    "--service S",
  ].concat([
    "--export NAME",
    "--config <file>",
    "revoke",
    "75  the store",
    "/etc/popbsmtp/popbsmtp.toml",
  ])) {
    assert.ok(out.includes(words), words);
  }
});

test("--help is a map of the commands by task, and names the manual pages", async () => {
  const { out } = await run("--help");
  const titles = Array.from(out.matchAll(/^(\S.*):$/gm), ([, title]) => title);
  assert.deepEqual(titles, [
    "Options",
    "Record logins",
    "See and change who may relay",
    "Set up and check",
    "Other",
    "Options of the wrapper, before PROGRAM",
    "Exit status, as in sysexits.h",
    "Files",
    "Examples",
  ]);
  assert.match(out, /popbsmtp\(8\) and popbsmtp\.toml\(5\)/);
});

test("the files that --help names are those that the program uses unless told otherwise", async () => {
  await using directory = temporaryDirectory();
  const { out } = await run("--help");
  const { spool, stores } = await loadConfig(undefined, join(directory.path, "none.toml"));
  assert.match(out, new RegExp(`^  ${spool} `, "m"));
  for (const store of stores) {
    assert.match(out, new RegExp(`^  ${"path" in store ? store.path : ""} `, "m"));
  }
});

test("--help, of every command, fits a terminal of 80 columns except for its examples", async () => {
  for (const words of [[], ...commandLines()]) {
    const { out } = await run(...words, "--help");
    const [text = ""] = out.split("\nExamples:");
    for (const line of text.split("\n")) assert.ok(line.length <= 80, line);
  }
});

test("what is not there yet is not announced", async () => {
  const { out } = await run("--help");
  assert.doesNotMatch(out, /relay-ctrl|drac/i);
});

/** Each command that does something, by its words. */
function commandLines(): readonly (readonly string[])[] {
  return createProgram({ terminal: recorder(), now: () => 0 }).commands.flatMap((command) =>
    command.commands.length > 0
      ? command.commands.map((inner) => [command.name(), inner.name()])
      : [[command.name()]],
  );
}

test("every command's help has an example and the option --config", async () => {
  for (const line of commandLines()) {
    const { out } = await run(...line, "--help");
    assert.match(out, /\nExamples:\n {2}\(?.*popbsmtp /, line.join(" "));
    assert.match(out, /--config <file>/, line.join(" "));
  }
});

test("a misspelled command or option is answered with the nearest one", async () => {
  assert.equal((await run("lst")).err, "popbsmtp: unknown command 'lst'\n(Did you mean list?)");
  assert.equal(
    (await run("list", "--jsn")).err,
    "popbsmtp: unknown option '--jsn'\n(Did you mean --json?)",
  );
});

test("a command line of options alone is answered in one line", () => {
  const program = createProgram({ terminal: recorder(), now: () => 0 });
  for (const [line, message] of [
    ["--config list", "--config list: the option's value is missing before list"],
    ["--wait 5 --service purge", "--service purge: the option's value is missing before purge"],
    ["--config x", "name a program to run, or a command; see popbsmtp --help"],
    ["--config=x --no-wait", "name a program to run, or a command; see popbsmtp --help"],
  ] as const) {
    assert.throws(() => assertNamesSomething(program, line.split(" ")), {
      exitStatus: 64,
      message,
    });
  }
  for (const line of ["--config x list", "list", "--config", "--help", "--version"]) {
    assertNamesSomething(program, line.split(" "));
  }
  assertNamesSomething(program, []);
});

test("an argument too few or too many is a usage error", async () => {
  assert.equal((await run("check")).err, "popbsmtp: missing required argument 'address'");
  assert.match((await run("list", "extra")).err, /^popbsmtp: too many arguments/);
  assertThrown((await run("check")).thrown, { code: "commander.missingArgument" });
});

test("check, allow and revoke say how an address is spelled", async () => {
  for (const command of ["check", "allow", "revoke"]) {
    assertThrown((await run(command, "192.0.2.300")).thrown, {
      exitStatus: 65,
      message: "192.0.2.300: not an IP address; expected one such as 192.0.2.1 or 2001:db8::1",
    });
  }
});

test("revoke wants to know whose", async () => {
  assertThrown((await run("revoke")).thrown, {
    exitStatus: 64,
    message: "revoke: name an address, --user USER, or both",
  });
});
