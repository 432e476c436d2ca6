import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "smol-toml";
import * as v from "valibot";
import { generated } from "../../../scripts/manual.ts";
import { exampleFile } from "../../../scripts/manual/example-file.ts";
import { DRIVERS, KEYS, storeKeys } from "../../../scripts/manual/keys.ts";
import { ENVIRONMENT } from "../../../scripts/manual/program-page.ts";
import { WRAPPER_OPTIONS } from "../../../src/cli.ts";
import { eitherOr } from "../../../src/config/reading/store-entries.ts";
import { eitherFormat } from "../../../src/config/reading/watch-schema.ts";
import { loadConfig } from "../../../src/config/reading/load.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const ROOT = new URL("../../../", import.meta.url);

function read(file: string): string {
  return readFileSync(new URL(file, ROOT), "utf8");
}

/** Creates the files that the examples name; the returned function substitutes their paths. */
function writeNamedFiles(directory: string): (text: string) => string {
  writeFileSync(join(directory, "secret"), "secret\n");
  writeFileSync(join(directory, "ca.pem"), "-----BEGIN CERTIFICATE-----\n");
  return (text) =>
    text
      .replaceAll(/\/etc\/popbsmtp\/\w+\.password/g, join(directory, "secret"))
      .replaceAll('"/etc/popbsmtp/users"', `"${join(directory, "secret")}"`)
      .replaceAll("/etc/popbsmtp/ca.pem", join(directory, "ca.pem"));
}

for (const [path, text] of generated()) {
  it(`${path} is up to date (npm run manual)`, () => {
    assert.equal(read(path), text);
  });
}

describe("every key of popbsmtp.toml", () => {
  it("has an example that the schema takes", async () => {
    await using directory = temporaryDirectory();
    const present = writeNamedFiles(directory.path);
    const keys = [...Object.values(KEYS).flat(), ...DRIVERS.flatMap(storeKeys)];
    assert.ok(keys.length > 60);
    for (const { name, schema, text } of keys) {
      // each driver's schema takes its own name only
      if (name === "driver") continue;
      const value = parse(present(`${name} = ${text.example}`))[name];
      const { issues = [] } = v.safeParse(schema, value);
      assert.deepEqual(
        issues.map(({ message }) => message),
        [],
        name,
      );
    }
  });
});

describe("examples/popbsmtp.toml", () => {
  /** Two keys, or a key and a section, of which one may be given. */
  const alternatives: readonly (readonly [RegExp, RegExp])[] = [
    [keyLine(eitherOr[0]), keyLine(eitherOr[1])],
    [keyLine(eitherFormat[0]), keyLine(eitherFormat[1])],
    [keyLine("ssl"), /^\[store\.ssl\]\n(?:.+\n|\n)*?(?=\[)/gm],
  ];

  function keyLine(key: string): RegExp {
    return new RegExp(`^${key} = .*\n`, "gm");
  }

  /** The settings without their "#". */
  function uncommented(): string {
    return exampleFile().replaceAll(/^#(?! |$)/gm, "");
  }

  for (const which of [0, 1] as const) {
    it(`loads with everything in it, the ${which === 0 ? "first" : "second"} of two alternatives left out`, async () => {
      await using directory = temporaryDirectory();
      const path = join(directory.path, "popbsmtp.toml");
      const text = alternatives.reduce((all, pair) => {
        assert.match(all, pair[which]);
        return all.replaceAll(pair[which], "");
      }, uncommented());
      writeFileSync(path, writeNamedFiles(directory.path)(text));
      const { stores } = await loadConfig(path);
      assert.deepEqual([...new Set(stores.map(({ driver }) => driver))].toSorted(), [
        "drac",
        "mysql",
        "pgsql",
        "relay-ctrl",
        "relay-ctrl-udp",
        "sqlite",
      ]);
    });
  }

  it("configures nothing as it is", () => {
    assert.equal(JSON.stringify(parse(exampleFile())), '{"serve":{}}');
  });

  it("has every key", () => {
    // the keys of each section, by its title; those of [[store]] by driver
    const sections = new Map<string, Set<string>>([["", new Set()]]);
    let title = "";
    for (const line of uncommented().split("\n")) {
      title = /^\[+(.*?)\]+$/.exec(line)?.[1] ?? title;
      const [, key, value = ""] = /^([a-z0-9-]+) = (.*)$/.exec(line) ?? [];
      if (key === "driver") title = `store ${value.replaceAll('"', "")}`;
      sections.set(title, (sections.get(title) ?? new Set()).add(key ?? ""));
    }
    const has = (name: string) => [...(sections.get(name) ?? [])].filter(Boolean).toSorted();
    const names = (keys: readonly { readonly name: string }[]) =>
      keys.map(({ name }) => name).toSorted();
    const { top, purger, reader, ssl, columns, serve, watch } = KEYS;
    for (const [name, keys] of Object.entries({
      "": top,
      "store.purger": purger,
      "store.reader": reader,
      "store.ssl": ssl,
      "store.columns": columns,
      serve,
      watch,
    })) {
      assert.deepEqual(has(name), names(keys), name);
    }
    for (const driver of DRIVERS) {
      const all = names(storeKeys(driver)).filter(
        (name) => !["purger", "reader", "columns"].includes(name),
      );
      assert.deepEqual(has(`store ${driver}`), all, driver);
    }
  });
});

describe("popbsmtp(8)", () => {
  const launcher = readdirSync(new URL("bin/launcher/", ROOT))
    .map((name) => read(`bin/launcher/${name}`))
    .join("\n");

  it("has the options that the wrapper takes, with its defaults", () => {
    const taken = Array.from(
      launcher.matchAll(/^ {4}(--[a-z-]+(?: \| --[a-z-]+)*)\)/gm),
      ([, names = ""]) => names.split(" | "),
    ).flat();
    const documented = WRAPPER_OPTIONS.map(([term]) => term.replace(/ .*/, ""));
    // --relayclient belongs to popbsmtp relay, --ask to this program alone
    assert.deepEqual(
      taken.filter((name) => !["--relayclient", "--ask"].includes(name)).toSorted(),
      documented.toSorted(),
    );
    const meaning = new Map(WRAPPER_OPTIONS).get("--wait MS");
    const wait = /\bp_spool=\S+ p_wait=(\d+) /.exec(launcher)?.[1];
    assert.match(meaning ?? "", new RegExp(`\\(default: ${wait}\\)`));
    const relayWait = /\bp_relay=1 p_wait=(\d+) /.exec(launcher)?.[1];
    assert.match(read("man/popbsmtp.8"), new RegExp(`1 to\\s9999 \\(default: ${relayWait}\\)`));
  });

  it("names no environment variable that the program does not read", () => {
    const sources = readdirSync(new URL("src/", ROOT), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => read(`src/${file}`));
    const program = [launcher, ...sources].join("\n");
    for (const [name] of ENVIRONMENT) assert.match(program, new RegExp(`\\b${name}\\b`));
  });
});
