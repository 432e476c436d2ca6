import { parse } from "smol-toml";

/** Where a configuration has its secrets: in itself, or in files. */
export interface Secrets {
  readonly inline: boolean;
  readonly files: readonly string[];
}

/**
 * Looks for `password` and `password-file` in any section of the configuration, which may have other problems. One that is no
 * TOML is taken to have a password in it: who knows.
 */
export function findSecrets(toml: string): Secrets {
  let top;
  try {
    top = parse(toml);
  } catch {
    return { inline: true, files: [] };
  }
  let inline = false;
  const files: string[] = [];
  const look = (section: object) => {
    for (const [key, value] of Object.entries(section) as [string, unknown][]) {
      if (key === "password") inline = true;
      else if (key === "password-file" && typeof value === "string") files.push(value);
      else if (typeof value === "object" && value !== null) look(value);
    }
  };
  look(top);
  return { inline, files };
}
