/**
 * Converts plain text to mdoc(7). In the text, `code` is literal text of a file or a command line;
 * names of manual pages such as postconf(1), options such as --wait, and absolute paths are
 * recognised.
 */

/** The date of the last change. */
const REVISED = "November 26, 2026";

/** A piece of text, or a macro with its argument. */
interface Token {
  readonly macro: "Ql" | "Fl" | "Pa" | "Xr" | undefined;
  readonly text: string;
}

const MARKED =
  /`(?<code>[^`]+)`|(?<![\w"/-])(?<option>--[a-z][a-z-]*)|(?<page>\b[a-z][a-z.-]*\([1-9]\))|(?<![\w"/.)])(?<path>\/[\w@.-]+(?:\/[\w@.-]+)*\/?[\w-])/g;

function tokens(text: string): readonly Token[] {
  const found: Token[] = [];
  let end = 0;
  for (const match of text.matchAll(MARKED)) {
    found.push({ macro: undefined, text: text.slice(end, match.index) });
    end = match.index + match[0].length;
    const { code, option, page, path } = match.groups ?? {};
    if (code !== undefined) found.push(codeToken(code));
    else if (option !== undefined) found.push({ macro: "Fl", text: option.slice(1) });
    else if (page !== undefined) found.push({ macro: "Xr", text: page });
    else found.push({ macro: "Pa", text: path ?? "" });
  }
  return [...found, { macro: undefined, text: text.slice(end) }];
}

function codeToken(code: string): Token {
  if (/^--[a-z-]+$/.test(code)) return { macro: "Fl", text: code.slice(1) };
  return { macro: /^\/[^\s"]+$/.test(code) ? "Pa" : "Ql", text: code };
}

/** A paragraph's lines, without the macro that begins it. */
export function paragraph(text: string): readonly string[] {
  return sentences(text).flatMap((sentence) => macroLines(tokens(sentence)));
}

/**
 * One sentence a line, as mandoc(1) requires. A full stop within a code does not end a sentence.
 */
function sentences(text: string): readonly string[] {
  return text
    .split(/(`[^`]*`)/)
    .map((part, at) =>
      at % 2 === 1 ? part : part.replaceAll(/([.!?]\)?) +(?=[A-Z`(]|popbsmtp )/g, "$1\n"),
    )
    .join("")
    .replaceAll(/([.!?]) +(`)/g, "$1\n$2")
    .split("\n");
}

function macroLines(list: readonly Token[]): readonly string[] {
  const lines: string[] = [];
  let before = "";
  const flush = () => {
    const text = before.trim();
    if (text !== "") lines.push(...wrap(text));
    before = "";
  };
  for (let at = 0; at < list.length; at++) {
    const token = list[at];
    if (token === undefined) break;
    if (token.macro === undefined) {
      before += token.text;
      continue;
    }
    const [, head = "", opening = ""] = /^(.*?)([("']*)$/s.exec(before) ?? [];
    before = head;
    flush();
    // text that follows without a blank
    const next = list[at + 1];
    const [, attached = "", rest = ""] = /^(\S*)(.*)$/s.exec(next?.text ?? "") ?? [];
    const closing = /^[.,:;!?)\]]*$/.test(attached) ? attached.split("").join(" ") : undefined;
    const words = [
      `.${token.macro}`,
      ...opening.split("").map((mark) => (mark === "(" ? mark : argument(mark))),
      macroArguments(token),
      closing ?? (attached === "" ? "" : `Ns ${argument(attached)}`),
    ];
    lines.push(words.filter((word) => word !== "").join(" "));
    before = rest;
    at++;
  }
  flush();
  return lines;
}

function macroArguments({ macro, text }: Token): string {
  if (macro === "Xr") return text.replace(/\((\d)\)$/, " $1");
  return argument(text);
}

/** One or several words as one argument of a macro. */
export function argument(text: string): string {
  const escaped = escape(text);
  if (/[\s"]/.test(text)) return `"${escaped.replaceAll('"', '""')}"`;
  // it could be parsed as the name of a macro, or as punctuation
  return /^(?:[A-Z%][A-Za-z0-9]{0,2}|[.,:;!?()[\]|])$/.test(text) ? `\\&${escaped}` : escaped;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}

/** Lines of text of at most 80 bytes, as mandoc(1) requires. */
function wrap(text: string): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + word.length > 76) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line].map((each) => each.replaceAll("\\", "\\e").replace(/^(?=[.'])/, "\\&"));
}

/** An option, such as --config, as arguments of .It or .Op. */
export function flag(option: string, value?: string): string {
  const name = `Fl ${escape(option.slice(1))}`;
  return value === undefined ? name : `${name} Ar ${value}`;
}

/** Several paragraphs. */
export function paragraphs(...texts: readonly string[]): readonly string[] {
  return texts.flatMap((text, at) => (at === 0 ? paragraph(text) : [".Pp", ...paragraph(text)]));
}

/** Lines of a file or a shell, printed literally. */
export function literal(lines: readonly string[]): readonly string[] {
  return [
    ".Bd -literal -offset indent",
    ...lines.map((line) => escape(line).replace(/^(?=[.'])/, "\\&")),
    ".Ed",
  ];
}

/** A line of a file, displayed on its own. */
export function display(line: string): string {
  return `.Dl "${escape(line).replaceAll('"', '""')}"`;
}

/** A list of terms, each as arguments of .It, with their descriptions. */
export function tagged(
  items: readonly (readonly [term: string, lines: readonly string[]])[],
): readonly string[] {
  if (items.length === 0) return [];
  return [
    ".Bl -tag -width Ds",
    ...items.flatMap(([term, lines]) => [`.It ${term}`, ...lines]),
    ".El",
  ];
}

/** The beginning of a page. */
export function heading(name: string, section: number, what: string): readonly string[] {
  return [
    `.\\" made by npm run manual: change scripts/manual/ and the program, not this file`,
    // groff divides words, and this is one that is typed
    ".hw popbsmtp",
    `.Dd ${REVISED}`,
    `.Dt ${name.toUpperCase()} ${String(section)}`,
    ".Os",
    ".Sh NAME",
    `.Nm ${name}`,
    `.Nd ${what}`,
  ];
}
