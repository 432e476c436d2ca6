/** Tables and goals as plain text. */

/** A number to reach. */
export interface Goal {
  readonly what: string;
  readonly value: number;
  readonly bound: "at most" | "at least";
  readonly limit: number;
  /** The unit of value and limit. Default "x", times. */
  readonly unit?: string;
}

/** Rows below a header; the first column is text, the others are numbers. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return aligned([header, ...rows], (cell, width, column) =>
    column === 0 ? cell.padEnd(width) : cell.padStart(width),
  );
}

/** The goals, and whether they were reached. */
export function goals(all: readonly Goal[]): string {
  const rows = all.map(({ what, value, bound, limit, unit = "x" }) => {
    const reached = bound === "at most" ? value <= limit : value >= limit;
    return [
      what,
      `${value.toFixed(2)} ${unit}`,
      `${bound} ${String(limit)} ${unit}`,
      reached ? "reached" : "NOT reached",
    ];
  });
  return aligned(rows, (cell, width, column) =>
    column === 1 ? cell.padStart(width) : cell.padEnd(width),
  );
}

function aligned(
  rows: readonly (readonly string[])[],
  pad: (cell: string, width: number, column: number) => string,
): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => pad(cell, widths[column] ?? 0, column))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
