/** What Debian 13's doveconf prints, of Dovecot 2.4.1, as `popbsmtp print dovecot` sets it up. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "./temporary-directory.ts";

const PRINTED = join(import.meta.dirname, "../unit/dovecot/doveconf-2.4.1");

export type Printed = "dict" | "dict-systemd" | "post-login" | "wrapper";

export interface FakeDoveconf extends AsyncDisposable {
  /** The program that the configuration names. */
  readonly program: string;
}

/**
 * Puts a doveconf on PATH that prints this, and a program popbsmtp that the configuration names.
 * base_dir is an empty directory: Dovecot does not run.
 *
 * @param change what the administrator has changed in the configuration
 */
export function fakeDoveconf(
  form: Printed,
  change: (text: string) => string = (text) => text,
): FakeDoveconf {
  const directory = temporaryDirectory({ mode: 0o755 });
  const at = (name: string) => join(directory.path, name);
  const program = at("popbsmtp");
  mkdirSync(at("bin"));
  const edited = (name: string) => {
    const text = readFileSync(join(PRINTED, `${name}.txt`), "utf8");
    return text
      .replaceAll("/usr/lib/popbsmtp/popbsmtp", program)
      .replace("base_dir = /run/dovecot", `base_dir = ${at("run")}`);
  };
  const write = (name: string, text: string) => {
    writeFileSync(at(name), text);
    chmodSync(at(name), 0o755);
  };
  write("popbsmtp", "");
  write("plain.txt", change(edited(form)));
  write("with-passwords.txt", change(edited("dict-P")));
  write("names.txt", edited("names"));
  write(
    "bin/doveconf",
    `#!/bin/sh
cd ${directory.path}
case $* in
  '') cat plain.txt ;;
  -P) cat with-passwords.txt ;;
  'base_dir '*) cat names.txt ;;
  *) echo "doveconf: Fatal: $*" >&2; exit 89 ;;
esac
`,
  );
  const before = process.env["PATH"];
  process.env["PATH"] = `${at("bin")}:${before ?? ""}`;
  return {
    program,
    [Symbol.asyncDispose]: async () => {
      process.env["PATH"] = before;
      await directory[Symbol.asyncDispose]();
    },
  };
}
