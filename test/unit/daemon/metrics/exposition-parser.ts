import assert from "node:assert/strict";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * The samples in Prometheus' text format 0.0.4, read strictly; throws where anything is not as it
 * has to be.
 */
export function parseExposition(text: string): readonly Sample[] {
  assert.ok(text.endsWith("\n"), "the last line has no end");
  const samples: Sample[] = [];
  const families = new Set<string>();
  let family = "";
  let type = "";
  let step: "HELP" | "TYPE" | "sample" = "HELP";
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP ([a-z_:][a-z0-9_:]*) (?:[^\\]|\\[\\n])+$/.exec(line);
    const kind = /^# TYPE ([a-z_:][a-z0-9_:]*) (counter|gauge|histogram)$/.exec(line);
    if (help !== null) {
      [, family = ""] = help;
      assert.ok(!families.has(family), `${family} is there twice`);
      families.add(family);
      step = "TYPE";
    } else if (kind !== null) {
      assert.equal(step, "TYPE", line);
      assert.equal(kind[1], family);
      type = kind[2] ?? "";
      assert.equal(family.endsWith("_total"), type === "counter", line);
      step = "sample";
    } else {
      assert.equal(step, "sample", line);
      const parsed = parseSample(line);
      const suffix = parsed.name.slice(family.length);
      const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      assert.ok(parsed.name.startsWith(family) && suffixes.includes(suffix), line);
      samples.push(parsed);
    }
  }
  const identities = samples.map(identity);
  assert.equal(new Set(identities).size, identities.length, "a sample is there twice");
  for (const name of families) checkHistogram(samples, name);
  return samples;
}

/** The value of the sample with these labels; undefined where there is none. */
export function valueOf(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = identity({ name, labels });
  return samples.find((sample) => identity(sample) === wanted)?.value;
}

function parseSample(line: string): Sample {
  const match =
    /^([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\+Inf|-Inf|NaN|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(
      line,
    );
  assert.ok(match !== null, `not a sample: ${line}`);
  const [, name = "", inner = "", value = ""] = match;
  assert.ok(!inner.endsWith(","), line);
  const pairs = [...inner.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(
    ([, label = "", text = ""]): [string, string] => [label, unescape(text)],
  );
  const labels = Object.fromEntries(pairs);
  assert.equal(Object.keys(labels).length, pairs.length, `a label is there twice: ${line}`);
  return { name, labels, value: value === "+Inf" ? Infinity : Number(value) };
}

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/g, (_, character: string) =>
    character === "n" ? "\n" : character,
  );
}

function identity({ name, labels }: Pick<Sample, "name" | "labels">): string {
  return JSON.stringify([name, ...Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1))]);
}

/** Buckets ascend to +Inf, their counts never fall, and the last is _count; each has a _sum. */
function checkHistogram(samples: readonly Sample[], family: string): void {
  const buckets = Map.groupBy(
    samples.filter(({ name }) => name === `${family}_bucket`),
    ({ labels }) => JSON.stringify({ ...labels, le: undefined }),
  );
  for (const [others, series] of buckets) {
    const labels: unknown = JSON.parse(others);
    const same = (suffix: string) =>
      samples.find(
        (sample) =>
          sample.name === family + suffix &&
          JSON.stringify(sample.labels) === JSON.stringify(labels),
      );
    let below = -Infinity;
    let count = 0;
    for (const {
      labels: { le = "" },
      value,
    } of series) {
      const bound = le === "+Inf" ? Infinity : Number(le);
      assert.ok(bound > below, `${family}: le ${le} after ${below}`);
      assert.ok(value >= count, `${family}: fewer at ${le} than below`);
      [below, count] = [bound, value];
    }
    assert.equal(below, Infinity, `${family} has no le="+Inf"`);
    assert.equal(same("_count")?.value, count, family);
    assert.ok(same("_sum") !== undefined, family);
  }
}
