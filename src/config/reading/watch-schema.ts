/** The section [watch]. */
import * as v from "valibot";
import { FORMAT_NAMES, Formats } from "../../mail-formats/formats.ts";
import { parsePattern, type Pattern } from "../../mail-formats/pattern.ts";
import type { WatchConfig } from "../config.ts";
import { section, type SectionRules } from "./section.ts";
import { absolutePath, duration } from "./values.ts";

const DAY = 86_400_000;

const oneFile = v.pipe(
  absolutePath,
  v.transform((path): readonly string[] => [path]),
);
const someFiles = v.pipe(
  v.array(absolutePath),
  v.minLength(1, "expected a path or a list of paths"),
  v.check((paths) => new Set(paths).size === paths.length, "the same file twice"),
);

const pattern = v.pipe(
  v.string("expected a regular expression"),
  v.rawTransform(({ dataset: { value }, addIssue, NEVER }): Pattern => {
    const parsed = parsePattern(value);
    if (typeof parsed !== "string") return parsed;
    addIssue({ message: parsed });
    return NEVER;
  }),
);

/** The keys of [watch]. */
export const watchEntries = {
  file: v.optional(
    v.lazy((input) => (Array.isArray(input) ? someFiles : oneFile)),
    "/var/log/mail.log",
  ),
  format: v.optional(v.picklist(FORMAT_NAMES, `expected ${FORMAT_NAMES.join(", ")}`)),
  pattern: v.optional(pattern),
  "quiet-after": v.optional(duration(60_000, 30 * DAY, { orNever: true }), "6h"),
};

/** Two keys of which one may be given. */
export const eitherFormat = ["format", "pattern"] as const;

/** What `format` is unless it or a pattern is given. */
export const DEFAULT_FORMAT = "auto";

/**
 * The section; its output is {@link WatchConfig} without `inDaemon`. `rules` covers keys that
 * belong elsewhere.
 */
export function watchSection(rules: SectionRules) {
  return v.pipe(
    section(watchEntries, { ...rules, eitherOr: eitherFormat }),
    v.transform((input): Omit<WatchConfig, "inDaemon"> => ({
      files: input.file,
      formats:
        input.pattern === undefined
          ? Formats.named(input.format ?? DEFAULT_FORMAT)
          : Formats.own(input.pattern),
      quietAfter: input["quiet-after"],
    })),
  );
}
