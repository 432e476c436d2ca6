/** A Debian package's changelog: deb-changelog(5). */

export const MAINTAINER = "the popbsmtp authors <popbsmtp@example.org>";

interface Release {
  readonly version: string;
  /** Seconds since 1970. */
  readonly time: number;
  readonly changes: readonly string[];
}

/**
 * The changelog of package popbsmtp, from CHANGELOG.md. What is not released yet belongs to
 * `version`.
 *
 * @param time the time of that version, in seconds since 1970
 */
export function debianChangelog(markdown: string, version: string, time: number): string {
  const [unreleased, ...released] = markdown
    .split(/^## /m)
    .slice(1)
    .map((section): Release => {
      const [, name = "", date] = /^\[(.*?)\](?: - (\S+))?/.exec(section) ?? [];
      return {
        version: date === undefined ? version : name,
        time: date === undefined ? time : Date.parse(date) / 1000,
        changes: points(section),
      };
    });
  const [last] = released;
  const isReleased = last?.version === version;
  const current: Release = {
    version,
    time,
    changes: [...(unreleased?.changes ?? []), ...(isReleased ? last.changes : [])],
  };
  const earlier = isReleased ? released.slice(1) : released;
  return [current, ...earlier].map((release) => entry("popbsmtp", release)).join("\n");
}

/** One entry of a changelog. */
export function entry(name: string, { version, time, changes }: Release): string {
  const date = new Date(time * 1000).toUTCString().replace("GMT", "+0000");
  return [
    `${name} (${version}) unstable; urgency=medium`,
    "",
    ...changes.flatMap((change) =>
      wrapped(change).map((line, at) => (at === 0 ? `  * ${line}` : `    ${line}`)),
    ),
    "",
    ` -- ${MAINTAINER}  ${date}`,
    "",
  ].join("\n");
}

/** The points of a section, each in a line. */
function points(section: string): readonly string[] {
  return Array.from(section.matchAll(/^- (.*(?:\n {2}.*)*)/gm), ([, text = ""]) =>
    text.replaceAll(/\n {2}/g, " "),
  );
}

/** The longest line of a changelog is 80 characters long, four of them for the indentation. */
const WIDTH = 76;

function wrapped(text: string): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
