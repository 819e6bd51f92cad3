// Figures for people.
import type { BenchDocument, Figure } from './machine.ts';

export function tableOf({ bench, machine, figures }: BenchDocument): string {
  const rows = figures.map((figure) => [figure.id, valueOf(figure), figure.goal ?? '', verdictOf(figure)]);
  const all = [['figure', 'value', 'goal', 'met'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${bench}: ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}\n${lines.join('\n')}\n`;
}

const valueOf = ({ value, unit, reason }: Figure): string =>
  value === null ? `none: ${reason ?? ''}` : `${rounded(value)} ${unit}`;

const rounded = (value: number): string => (Number.isInteger(value) ? String(value) : value.toPrecision(3));

const verdictOf = ({ met }: Figure): string => (met === null ? '' : met ? 'yes' : 'NO');
