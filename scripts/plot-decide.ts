// Draws what a decision costs against the number of rules, for all engines of one run, both axes logarithmic:
//   npm run -s bench -- decide --json > run.json; node scripts/plot-decide.ts run.json > docs/decide-cost.svg
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const costSchema = z.object({ us: z.number().positive(), requests: z.int().positive() });
const sizeSchema = z.looseObject({ lines: z.int().positive() });
const documentSchema = z.object({
  bench: z.literal('decide'),
  machine: z.object({ cpu: z.string(), cores: z.int(), node: z.string(), kernel: z.string() }),
  figures: z.array(z.object({ id: z.string(), against: z.record(z.string(), z.unknown()) })),
});

interface Point {
  readonly lines: number;
  readonly us: number;
}

/** Colours that differ for everybody (Okabe and Ito), and a shape for those who print. */
const styles: Readonly<Record<string, { readonly label: string; readonly colour: string; readonly shape: Shape }>> = {
  edgeward: { label: 'Edgeward', colour: '#d55e00', shape: 'circle' },
  'hand-written': { label: 'hand-written index', colour: '#000000', shape: 'cross' },
  'node-casbin': { label: 'node-casbin', colour: '#0072b2', shape: 'square' },
  'cedar-wasm': { label: 'cedar-wasm', colour: '#009e73', shape: 'triangle' },
  'opa-wasm': { label: 'opa-wasm', colour: '#cc79a7', shape: 'diamond' },
  'opa-wasm, laid out by hand': { label: 'opa-wasm, index by hand', colour: '#e69f00', shape: 'diamond' },
};
type Shape = 'circle' | 'cross' | 'square' | 'triangle' | 'diamond';

const width = 950;
const height = 560;
const plot = { left: 90, right: 640, top: 70, bottom: 480 };

export function plotDecide(document: unknown): string {
  const { machine, figures } = documentSchema.parse(document);
  const series = seriesOf(figures);
  const all = [...series.values()].flat();
  const xs = decades(all.map(({ lines }) => lines));
  const ys = decades(all.map(({ us }) => us));
  const x = scale(xs, plot.left, plot.right);
  const y = scale(ys, plot.bottom, plot.top);
  const text = (at: readonly [number, number], content: string, more = ''): string =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" ${more}>${escape(content)}</text>`;
  const parts = [
    text([plot.left, 30], 'CPU time of one decision, by size of the policy', 'font-size="19" font-weight="bold"'),
    text(
      [plot.left, 52],
      `one corpus, one run; mean of the best round; ${machine.cpu}, Node ${machine.node.slice(1)}, Linux ${machine.kernel.split('-')[0]}`,
      'font-size="13" fill="#555"',
    ),
    ...ys.flatMap((value) => [
      `<line x1="${plot.left}" x2="${plot.right}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}" stroke="#ddd"/>`,
      text([plot.left - 10, y(value) + 5], time(value), 'text-anchor="end"'),
    ]),
    ...xs.flatMap((value) => [
      `<line x1="${x(value).toFixed(1)}" x2="${x(value).toFixed(1)}" y1="${plot.top}" y2="${plot.bottom}" stroke="#ddd"/>`,
      text([x(value), plot.bottom + 24], value.toLocaleString('en'), 'text-anchor="middle"'),
    ]),
    text(
      [(plot.left + plot.right) / 2, plot.bottom + 52],
      'lines of the policy (rules and role assignments)',
      'text-anchor="middle"',
    ),
    `<text transform="translate(24 ${(plot.top + plot.bottom) / 2}) rotate(-90)" text-anchor="middle">CPU time of a decision</text>`,
    ...[...series].map(([engine, points]) => drawSeries(engine, points, x, y)),
    ...labels(series, x, y).map(({ engine, at, us }) =>
      text(at, `${style(engine).label}, ${time(us)}`, `fill="${style(engine).colour}" font-weight="bold"`),
    ),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="Helvetica, Arial, sans-serif" font-size="14" fill="#222">
<rect width="${width}" height="${height}" fill="#fff"/>
${parts.join('\n')}
</svg>
`;
}

/** From the sizes beside the first figure. */
function seriesOf(figures: z.infer<typeof documentSchema>['figures']): Map<string, Point[]> {
  const mean = figures.find(({ id }) => id === 'decideMeanUs10k');
  const sizes = z.array(sizeSchema).parse(mean?.against['sizes']);
  const series = new Map<string, Point[]>();
  for (const engine of Object.keys(styles)) {
    const points = sizes.flatMap((size) => {
      const cost = costSchema.safeParse(size[engine]);
      return cost.success ? [{ lines: size.lines, us: cost.data.us }] : [];
    });
    if (points.length > 0) series.set(engine, points);
  }
  if (series.size === 0) throw new Error('no engine has a cost in this document');
  return series;
}

const style = (engine: string): (typeof styles)[string] & object => {
  const found = styles[engine];
  if (found === undefined) throw new Error(`no style for ${engine}`);
  return found;
};

/** Powers of ten around the values. */
function decades(values: readonly number[]): number[] {
  const from = Math.floor(Math.log10(Math.min(...values)));
  const to = Math.ceil(Math.log10(Math.max(...values)));
  return Array.from({ length: to - from + 1 }, (_, at) => 10 ** (from + at));
}

function scale(ticks: readonly number[], start: number, end: number): (value: number) => number {
  const from = Math.log10(ticks[0] ?? 1);
  const to = Math.log10(ticks.at(-1) ?? 10);
  return (value) => start + ((Math.log10(value) - from) / (to - from)) * (end - start);
}

type Scale = ReturnType<typeof scale>;

function drawSeries(engine: string, points: readonly Point[], x: Scale, y: Scale): string {
  const { colour, shape } = style(engine);
  const at = points.map(({ lines, us }) => [x(lines), y(us)] as const);
  const path = at.map(([left, top]) => `${left.toFixed(1)},${top.toFixed(1)}`).join(' ');
  const dash = engine.includes('hand') ? ' stroke-dasharray="6 4"' : '';
  return [
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2.5"${dash}/>`,
    ...at.map(([left, top]) => marker(shape, left, top, colour)),
  ].join('\n');
}

function marker(shape: Shape, left: number, top: number, colour: string): string {
  const place = `transform="translate(${left.toFixed(1)} ${top.toFixed(1)})"`;
  switch (shape) {
    case 'circle':
      return `<circle ${place} r="5.5" fill="${colour}"/>`;
    case 'square':
      return `<rect ${place} x="-5" y="-5" width="10" height="10" fill="${colour}"/>`;
    case 'triangle':
      return `<path ${place} d="M0 -6.5 L6 5 L-6 5 Z" fill="${colour}"/>`;
    case 'diamond':
      return `<path ${place} d="M0 -6.5 L6.5 0 L0 6.5 L-6.5 0 Z" fill="${colour}"/>`;
    case 'cross':
      return `<path ${place} d="M-5 -5 L5 5 M-5 5 L5 -5" stroke="${colour}" stroke-width="2.5"/>`;
  }
}

interface Label {
  readonly engine: string;
  readonly us: number;
  readonly at: [number, number];
  readonly early: boolean;
}

/** Beside the last point, moved apart where they would touch. */
function labels(series: ReadonlyMap<string, readonly Point[]>, x: Scale, y: Scale): Label[] {
  const ended = Math.max(...[...series.values()].flat().map(({ lines }) => lines));
  const wanted = [...series].map(([engine, points]): Label => {
    const last = points.at(-1) ?? { lines: 1, us: 1 };
    // A line that ends early has others on its right: its label is above it.
    const early = last.lines < ended;
    return { engine, us: last.us, at: [x(last.lines) + (early ? -110 : 12), y(last.us) + (early ? -14 : 5)], early };
  });
  const sorted = wanted.toSorted((one, other) => one.at[1] - other.at[1]);
  const beside = sorted.filter(({ early }) => !early);
  for (const [index, label] of beside.entries()) {
    const above = beside[index - 1];
    if (above !== undefined) label.at[1] = Math.max(label.at[1], above.at[1] + 19);
  }
  return sorted;
}

function time(us: number): string {
  const [value, unit] = us >= 1e6 ? [us / 1e6, 's'] : us >= 1e3 ? [us / 1e3, 'ms'] : [us, 'µs'];
  return `${Number(value.toPrecision(2))} ${unit}`;
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

if (process.argv[1] === import.meta.filename) {
  const [file] = process.argv.slice(2);
  if (file === undefined) {
    process.stderr.write('usage: node scripts/plot-decide.ts RUN.json > docs/decide-cost.svg\n');
    process.exitCode = 2;
  } else {
    process.stdout.write(plotDecide(JSON.parse(readFileSync(file, 'utf8'))));
  }
}
