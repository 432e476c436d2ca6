/** The whole configuration file. scripts/manual/key-texts.ts documents each key. */
import * as v from "valibot";
import { allowEntries, allowSection } from "./allow-schema.ts";
import { networks } from "./mynetworks.ts";
import { section } from "./section.ts";
import { serveEntries, serveSection } from "./serve-schema.ts";
import { STORE_KEYS, storeSections } from "./store-schema.ts";
import { absolutePath, accountName, duration } from "./values.ts";
import { watchEntries, watchSection } from "./watch-schema.ts";

const SECOND = 1000;
const DAY = 86_400 * SECOND;

/** The keys at the top of the file. */
export const topEntries = {
  spool: v.optional(absolutePath, "/var/spool/popbsmtp"),
  lifetime: v.optional(duration(SECOND, 7 * DAY), "30m"),
  user: v.optional(accountName, "popbsmtp"),
  linger: v.optional(duration(0, DAY), "60s"),
  exclude: v.optional(networks, () => []),
};

// In TOML, a key after a [section] line belongs to that section, and people often overlook that.
/** Where keys belong, and why they are wrong elsewhere; of several places, the last one counts. */
const PLACES = {
  watch: reasons(Object.keys(watchEntries), "belongs in the section [watch]"),
  serve: reasons(Object.keys(serveEntries), "belongs in the section [serve]"),
  store: reasons(STORE_KEYS, "belongs in the section [store]"),
  allow: reasons(Object.keys(allowEntries), "belongs in the section [allow]"),
  top: reasons(
    Object.keys(topEntries),
    "belongs at the top of the file, before the first [section]",
  ),
};

type Reasons = ReadonlyMap<string, string>;

function reasons(keys: readonly string[], reason: string): Reasons {
  return new Map(keys.map((key) => [key, reason]));
}

/** The reasons for the keys of all other places. */
function notIn(place: keyof typeof PLACES): Reasons {
  const others = Object.entries(PLACES).filter(([name]) => name !== place);
  return new Map(others.flatMap(([, keys]) => [...keys]));
}

/** The whole file; its output is {@link Config} without the path. */
export const configSchema = section(
  {
    ...topEntries,
    store: v.optional(storeSections(notIn("store")), { driver: "sqlite" }),
    serve: v.optional(serveSection({ elsewhere: notIn("serve") }), {}),
    watch: v.optional(watchSection({ elsewhere: notIn("watch") }), {}),
    allow: v.optional(allowSection({ elsewhere: notIn("allow") }), {}),
  },
  { elsewhere: notIn("top") },
);
