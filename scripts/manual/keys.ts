/**
 * Every key of popbsmtp.toml: its text in key-texts.ts, with the default and the bounds in the
 * schema.
 */
import * as v from "valibot";
import { topEntries } from "../../src/config/reading/config-schema.ts";
import { serveEntries } from "../../src/config/reading/serve-schema.ts";
import {
  accountEntries,
  columnEntries,
  storeEntries,
} from "../../src/config/reading/store-entries.ts";
import { sslEntries } from "../../src/config/reading/values.ts";
import { allowEntries } from "../../src/config/reading/allow-schema.ts";
import { watchEntries } from "../../src/config/reading/watch-schema.ts";
import { formatDuration } from "../../src/lib/duration.ts";
import {
  columnTexts,
  purgerTexts,
  readerTexts,
  serveTexts,
  sslTexts,
  storeTexts,
  topTexts,
  watchTexts,
  allowTexts,
  type KeyText,
} from "./key-texts.ts";

export interface Key {
  readonly name: string;
  readonly schema: v.GenericSchema;
  readonly text: KeyText;
  /** The range of the value, such as "1s to 7d", if its type does not imply it. */
  readonly bounds: string | undefined;
  /** In TOML; undefined if the schema has none. */
  readonly fallback: string | undefined;
  readonly isRequired: boolean;
}

/** A key of [store], and the drivers that have it. */
export interface StoreKey extends Key {
  readonly drivers: readonly string[];
}

export type Driver = keyof typeof storeEntries;

/** All drivers, in the order in which messages list them. */
export const DRIVERS: readonly Driver[] = Object.keys(storeEntries).filter(isDriver);

function isDriver(name: string): name is Driver {
  return Object.hasOwn(storeEntries, name);
}

// the parts of a schema that matter here
const optional = v.looseObject({ wrapped: v.looseObject({}) });
const choices = v.looseObject({ options: v.array(v.string()) });
const pipe = v.looseObject({ pipe: v.array(v.looseObject({})) });
const times = v.looseObject({
  metadata: v.object({ least: v.number(), most: v.number(), orNever: v.boolean() }),
});
const least = v.looseObject({ type: v.literal("min_value"), requirement: v.number() });
const most = v.looseObject({ type: v.literal("max_value"), requirement: v.number() });

export const KEYS = {
  top: keysOf(topEntries, topTexts),
  purger: keysOf(accountEntries, purgerTexts),
  reader: keysOf(accountEntries, readerTexts),
  ssl: keysOf(sslEntries, sslTexts),
  columns: keysOf(columnEntries, columnTexts),
  serve: keysOf(serveEntries, serveTexts),
  watch: keysOf(watchEntries, watchTexts),
  allow: keysOf(allowEntries, allowTexts),
};

/** The keys of a section [store] with this driver. */
export function storeKeys(driver: Driver): readonly Key[] {
  return keysOf(storeEntries[driver], storeTexts[driver]);
}

/**
 * The keys of [store] for all drivers. A key with the same meaning for several drivers occurs once.
 */
export function allStoreKeys(): readonly StoreKey[] {
  const keys: StoreKey[] = [];
  for (const driver of DRIVERS) {
    for (const key of storeKeys(driver)) {
      const at = keys.findIndex(({ name, text }) => name === key.name && text === key.text);
      const same = keys[at];
      if (same === undefined) keys.push({ ...key, drivers: [driver] });
      else keys[at] = { ...same, drivers: [...same.drivers, driver] };
    }
  }
  // keys of the same name together
  const names = [...new Set(keys.map(({ name }) => name))];
  return names.flatMap((name) => keys.filter((key) => key.name === name));
}

function keysOf<Entries extends Readonly<Record<string, v.GenericSchema>>>(
  entries: Entries,
  texts: Readonly<Record<keyof Entries, KeyText>>,
): readonly Key[] {
  return Object.entries(entries).map(([name, schema]) => toKey(name, schema, texts[name]));
}

function toKey(name: string, schema: v.GenericSchema, text: KeyText | undefined): Key {
  if (text === undefined) throw new Error(`${name} has no text`);
  const value: unknown = v.getDefault(schema);
  const fallback = value === undefined ? undefined : JSON.stringify(value);
  const isRequired = schema.type !== "optional";
  if (!isRequired && (fallback === undefined) !== (text.without !== undefined)) {
    throw new Error(`${name}: the schema has its default, or "without" says what holds without it`);
  }
  return { name, schema, text, bounds: boundsOf(name, schema), fallback, isRequired };
}

function boundsOf(name: string, schema: v.GenericSchema): string | undefined {
  if (name === "driver") return list(DRIVERS);
  const inner = v.is(optional, schema) ? schema.wrapped : schema;
  if (v.is(choices, inner)) return list(inner.options);
  if (!v.is(pipe, inner)) return undefined;
  const time = inner.pipe.find((item) => v.is(times, item));
  if (time !== undefined) {
    const { metadata } = v.parse(times, time);
    const never = metadata.orNever ? ', or `"0s"` for never' : "";
    return `${formatDuration(metadata.least)} to ${formatDuration(metadata.most)}${never}`;
  }
  const [from] = inner.pipe.flatMap((item) => (v.is(least, item) ? item.requirement : []));
  const [to] = inner.pipe.flatMap((item) => (v.is(most, item) ? item.requirement : []));
  return from === undefined || to === undefined ? undefined : `${from} to ${to}`;
}

function list(values: readonly string[]): string {
  const codes = values.map((value) => `\`"${value}"\``);
  return `${codes.slice(0, -1).join(", ")} or ${codes.at(-1) ?? ""}`;
}
