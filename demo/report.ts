// The demo's record: steps with times and with what proved them, shown as they happen, as a table at the end, and as the
// one JSON document.
import { visible } from '../runtime/table.ts';

export interface StepRecord {
  readonly name: string;
  readonly ok: boolean;
  /** Milliseconds the step took. */
  readonly ms: number;
  /** Who showed it (a foreign client, a packet probe, an edgeward command), and what it saw. */
  readonly provenBy: string;
}

export interface Terminal {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Raised by `prove` when a step did not show what it had to. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed';
}

export interface Report {
  readonly steps: readonly StepRecord[];
  /** Runs a step; its result says what proved it. A failure is recorded and ends the demo. */
  step(name: string, work: () => Promise<string>): Promise<void>;
  chapter(title: string): void;
  note(text: string): void;
  table(): string;
}

export function createReport(terminal: Terminal, now: () => number = () => performance.now()): Report {
  const steps: StepRecord[] = [];
  const colour = terminal.isTTY === true && process.env['NO_COLOR'] === undefined;
  const paint = (code: number, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const indented = (text: string): string =>
    wrap(text, columnsOf(terminal) - 6)
      .map((line) => `      ${line}`)
      .join('\n');
  return {
    steps,
    chapter: (title) => void terminal.write(`\n${paint(1, title)}\n`),
    note: (text) => void terminal.write(`  ${text}\n`),
    step: async (name, work) => {
      const started = now();
      try {
        const provenBy = await work();
        const ms = Math.round(now() - started);
        steps.push({ name, ok: true, ms, provenBy });
        terminal.write(`  ${paint(32, '✓')} ${name} ${paint(2, `${ms} ms`)}\n${indented(provenBy)}\n`);
      } catch (error) {
        const ms = Math.round(now() - started);
        const message = error instanceof Error ? error.message : String(error);
        steps.push({ name, ok: false, ms, provenBy: message });
        terminal.write(`  ${paint(31, '✗')} ${name} ${paint(2, `${ms} ms`)}\n${indented(message)}\n`);
        throw error instanceof StepFailed ? error : new StepFailed(`${name}: ${message}`, { cause: error });
      }
    },
    table: () => timeline(steps, columnsOf(terminal)),
  };
}

/** Ends the step unless `condition` holds. */
export function prove(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new StepFailed(otherwise);
}

/** Width when the terminal does not say its own, or there is none. */
const usualColumns = 120;
const leastColumns = 60;
const columnsOf = (terminal: Terminal): number => Math.max(terminal.columns ?? usualColumns, leastColumns);

/** A row a step; names and proofs are wrapped so that no line is wider than the terminal. */
export function timeline(steps: readonly StepRecord[], columns: number): string {
  const longest = Math.max(4, ...steps.map((step) => step.name.length));
  const nameWidth = Math.min(longest, Math.floor((columns - 14) * 0.45));
  const proofWidth = columns - nameWidth - 14;
  const row = (name: string, ms: string, ok: string, proof: string): string =>
    `${name.padEnd(nameWidth)}  ${ms.padStart(5)}  ${ok.padEnd(3)}  ${proof}`.trimEnd();
  const rows = steps.flatMap((step) => {
    const [names, proofs] = [wrap(step.name, nameWidth), wrap(step.provenBy, proofWidth)];
    return Array.from({ length: Math.max(names.length, proofs.length) }, (_, line) => {
      const [ms, ok] = line === 0 ? [String(step.ms), step.ok ? 'yes' : 'NO'] : ['', ''];
      return row(names[line] ?? '', ms, ok, proofs[line] ?? '');
    });
  });
  return [row('STEP', 'MS', 'OK', 'PROVEN BY'), ...rows].join('\n');
}

/** Lines of at most `width`, broken between words; a word that is longer is cut. */
export function wrap(text: string, width: number): string[] {
  const words = visible(text.replaceAll('\n', ' '))
    .split(' ')
    .flatMap((word) => word.match(new RegExp(`.{1,${width}}`, 'g')) ?? []);
  const lines: string[] = [];
  for (const word of words) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
