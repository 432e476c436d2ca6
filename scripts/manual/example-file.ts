/** examples/popbsmtp.toml: every key, commented out. */
import { DRIVERS, KEYS, storeKeys, type Driver, type Key } from "./keys.ts";

const COLUMNS = 78;

const PREAMBLE = `The configuration of popbsmtp: every key there is. The manual page popbsmtp.toml(5) has more about each.

A setting is a line without a blank after its "#". Remove the "#" to change it. The value is the default, or an example where the comment says what holds without the key.

The file belongs in /etc/popbsmtp/popbsmtp.toml. As it is, it changes nothing. A file of your own with the few keys that you need is as good.`;

const TITLES: Readonly<Record<Driver, string>> = {
  pgsql: "PostgreSQL",
  mysql: "MySQL or MariaDB",
  sqlite: "SQLite",
  "relay-ctrl": "The directory of relay-ctrl, and hosts that run its relay-ctrl-udp",
  drac: "Hosts that run rpc.dracd",
};

/** The keys of [store] that are sections. */
const SUBSECTIONS = ["purger", "reader", "ssl", "columns"] as const;

const ALLOW =
  "Who may use POP-before-SMTP; without this section, whoever logs in. Each condition that is here has to hold.";

export function exampleFile(): string {
  return [
    ...comment(PREAMBLE),
    ...KEYS.top.flatMap(setting),
    // at each login, the wrapper reads the file up to the first section
    ...section("serve", "The daemon, popbsmtp serve.", KEYS.serve).map((line) =>
      line === "#[serve]" ? "[serve]" : line,
    ),
    ...section(
      "watch",
      "The mail logs that the daemon watches; without this section, none.",
      KEYS.watch,
    ),
    ...section("allow", ALLOW, KEYS.allow),
    "",
    ...comment(
      "The stores. Every login goes to all that are configured, without any to SQLite. For a single one, [store] is as good as [[store]].",
    ),
    ...DRIVERS.flatMap((driver) => store(driver, driver === DRIVERS[0])),
    "",
  ].join("\n");
}

function store(driver: Driver, isFirst: boolean): readonly string[] {
  const keys = storeKeys(driver);
  const isSubsection = ({ name }: Key) => SUBSECTIONS.some((each) => each === name);
  const own = keys.filter(
    (key) => key.name !== "driver" && (key.name === "ssl" || !isSubsection(key)),
  );
  const subsections = SUBSECTIONS.filter((name) => keys.some((key) => key.name === name));
  const names = subsections.map((name) => `[store.${name}]`);
  return [
    "",
    ...comment(`${TITLES[driver]}.`),
    "#[[store]]",
    `#driver = "${driver}"`,
    ...own.flatMap(setting),
    ...(isFirst
      ? subsections.flatMap((name) =>
          section(`store.${name}`, aboutSubsection(name, keys), KEYS[name]),
        )
      : names.length === 0
        ? []
        : ["", ...comment(`${names.join(", ")}: as above.`)]),
  ];
}

function aboutSubsection(name: (typeof SUBSECTIONS)[number], keys: readonly Key[]): string {
  if (name === "ssl") return "TLS, too, instead of ssl above.";
  const key = keys.find((each) => each.name === name);
  return key === undefined ? "" : `${key.text.summary} ${otherwise(key)}`;
}

function section(name: string, introduction: string, keys: readonly Key[]): readonly string[] {
  return ["", ...comment(introduction), `#[${name}]`, ...keys.flatMap(setting)];
}

function setting(key: Key): readonly string[] {
  const { name, text, fallback } = key;
  return [
    "",
    ...comment(`${text.summary} ${otherwise(key)}`.trim()),
    `#${name} = ${fallback ?? text.example}`,
  ];
}

/** The behaviour without the key, if that differs from the value shown. */
function otherwise({ text, fallback, isRequired }: Key): string {
  if (isRequired) return "Required.";
  return fallback === undefined ? `Default: ${text.without ?? ""}.` : "";
}

/** Paragraphs as lines that begin with "# ". */
function comment(text: string): readonly string[] {
  return text
    .replaceAll("`", "")
    .split("\n")
    .flatMap((paragraph) => {
      const lines = [""];
      for (const word of paragraph.split(" ")) {
        const line = lines.at(-1) ?? "";
        if (line !== "" && line.length + 1 + word.length > COLUMNS - 2) lines.push(word);
        else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
      }
      return lines.map((line) => `# ${line}`.trimEnd());
    });
}
