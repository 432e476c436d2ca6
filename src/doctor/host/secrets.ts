import { parse } from "smol-toml";

/** Where the secrets of a configuration are: in the file itself, or in other files. */
export interface Secrets {
  readonly inline: boolean;
  readonly files: readonly string[];
}

/**
 * Looks for `password` and `password-file` in all sections of the configuration, which may contain
 * other errors. A file that is not TOML counts as one with a password, to be safe.
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
