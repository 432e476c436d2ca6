/**
 * Prometheus' text format, version 0.0.4, and the types of metrics.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */

/** The media type of the format. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The names of labels, which are the program's, and their values, which are arbitrary. */
export type Labels = Readonly<Record<string, string>>;

/** The samples of one name, with their description. */
export interface Family {
  /** Its lines, each with a newline. */
  render(): string;
}

/** A count by labels, which only increases. */
export class Counter implements Family {
  readonly #name: string;
  readonly #help: string;
  readonly #values = new Map<string, number>();

  /** @param name ends in `_total` */
  constructor(name: string, help: string) {
    this.#name = name;
    this.#help = help;
  }

  /** Adds `by`. Adding 0 creates the sample, so that an alert sees the first event as a change. */
  add(labels: Labels, by = 1): void {
    const key = labelText(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  render(): string {
    const samples = [...this.#values].map(([labels, value]) => sample(this.#name, labels, value));
    return header(this.#name, this.#help, "counter") + samples.join("");
  }
}

/** A distribution by labels: the number of observations up to each bound. */
export class Histogram implements Family {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, { readonly counts: number[]; sum: number }>();

  /** @param bounds ascending; an infinite one is added */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = [...bounds, Infinity];
  }

  observe(labels: Labels, value: number): void {
    const key = labelText(labels);
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { counts: this.#bounds.map(() => 0), sum: 0 };
      this.#series.set(key, series);
    }
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
  }

  render(): string {
    let text = header(this.#name, this.#help, "histogram");
    for (const [labels, { counts, sum }] of this.#series) {
      let count = 0;
      for (const [index, bound] of this.#bounds.entries()) {
        count += counts[index] ?? 0;
        const le = labelText({ le: numberText(bound) });
        text += sample(`${this.#name}_bucket`, labels === "" ? le : `${labels},${le}`, count);
      }
      text +=
        sample(`${this.#name}_sum`, labels, sum) + sample(`${this.#name}_count`, labels, count);
    }
    return text;
  }
}

/** A current value; undefined: it is unknown, and there is no sample. */
export function gauge(
  name: string,
  help: string,
  value: number | undefined,
  labels: Labels = {},
): string {
  return gauges(name, help, [{ labels, value }]);
}

/** Several gauges of one name, with different labels. */
export function gauges(
  name: string,
  help: string,
  samples: readonly { readonly labels: Labels; readonly value: number | undefined }[],
): string {
  const lines = samples.flatMap(({ labels, value }) =>
    value === undefined ? [] : [sample(name, labelText(labels), value)],
  );
  return header(name, help, "gauge") + lines.join("");
}

/** A count that is kept elsewhere. */
export function counter(name: string, help: string, value: number): string {
  return header(name, help, "counter") + sample(name, "", value);
}

function header(name: string, help: string, type: "counter" | "gauge" | "histogram"): string {
  return `# HELP ${name} ${help.replaceAll(/[\\\n]/g, escape)}\n# TYPE ${name} ${type}\n`;
}

function sample(name: string, labels: string, value: number): string {
  return `${name}${labels === "" ? "" : `{${labels}}`} ${numberText(value)}\n`;
}

function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.toWellFormed().replaceAll(/[\\"\n]/g, escape)}"`)
    .join(",");
}

function escape(character: string): string {
  return character === "\n" ? String.raw`\n` : `\\${character}`;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
