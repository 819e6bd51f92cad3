// Plain text tables for terminals. Cells may come from devices, so control characters are shown, not obeyed.

export type Cell = string | number | boolean | null | undefined;

/** Columns in the order given; numbers are set right. A header line, then one line a row, no frame. */
export function formatTable(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => columns.map((_, index) => cellText(row[index])));
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...texts.map((row) => width(row[index] ?? ''))),
  );
  const numeric = columns.map((_, index) => rows.length > 0 && rows.every((row) => typeof row[index] === 'number'));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => {
        const padding = ' '.repeat(Math.max((widths[index] ?? 0) - width(cell), 0));
        return numeric[index] ? padding + cell : cell + padding;
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map((column) => column.toUpperCase())), ...texts.map(line)].join('\n');
}

/** Code points; wide and combining characters may be off by a column. */
function width(text: string): number {
  return Array.from(text).length;
}

function cellText(cell: Cell): string {
  if (cell === null || cell === undefined || cell === '') return '-';
  return visible(String(cell));
}

/** Control and bidirectional formatting characters as `\u001b`, so that a name cannot move the cursor or reorder a line. */
export function visible(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
