/** What a configuration may say. docs: README's configuration section; DESIGN's interface is fixed. */
import * as v from "valibot";
import { section } from "./section.ts";
import { serveEntries, serveSection } from "./serve-schema.ts";
import { STORE_KEYS, storeSections } from "./store-schema.ts";
import { absolutePath, accountName, duration, network } from "./values.ts";

const SECOND = 1000;
const DAY = 86_400 * SECOND;

const topEntries = {
  spool: v.optional(absolutePath, "/var/spool/popbsmtp"),
  lifetime: v.optional(duration(SECOND, 7 * DAY), "30m"),
  user: v.optional(accountName, "popbsmtp"),
  linger: v.optional(duration(0, DAY), "60s"),
  exclude: v.optional(
    v.array(network, 'expected a list of networks such as ["192.0.2.0/24"]'),
    () => [],
  ),
};

// A key after the wrong [section] line is TOML's classic mistake.
const topKeysAreElsewhere = reasons(
  Object.keys(topEntries),
  "belongs at the top of the file, before the first [section]",
);
const storeKeysAreElsewhere = reasons(STORE_KEYS, "belongs in the section [store]");
const serveKeysAreElsewhere = reasons(Object.keys(serveEntries), "belongs in the section [serve]");

function reasons(keys: readonly string[], reason: string): ReadonlyMap<string, string> {
  return new Map(keys.map((key) => [key, reason]));
}

/** The whole file; its output is {@link Config} without the path. */
export const configSchema = section(
  {
    ...topEntries,
    store: v.optional(storeSections(new Map([...serveKeysAreElsewhere, ...topKeysAreElsewhere])), {
      driver: "sqlite",
    }),
    serve: v.optional(
      serveSection({ elsewhere: new Map([...storeKeysAreElsewhere, ...topKeysAreElsewhere]) }),
      {},
    ),
  },
  { elsewhere: new Map([...serveKeysAreElsewhere, ...storeKeysAreElsewhere]) },
);
