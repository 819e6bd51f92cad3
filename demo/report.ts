// The demo's record: steps with times and with what proved them, shown as they happen, as a table at the end, and as the
// one JSON document.
import { formatTable } from '../runtime/table.ts';

export interface StepRecord {
  readonly name: string;
  readonly ok: boolean;
  /** Milliseconds the step took. */
  readonly ms: number;
  /** The foreign client or packet probe that showed it, and what it saw. */
  readonly provenBy: string;
}

export interface Terminal {
  write(text: string): unknown;
  readonly isTTY?: boolean;
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
        terminal.write(`  ${paint(32, '✓')} ${name} ${paint(2, `${ms} ms`)}\n      ${provenBy}\n`);
      } catch (error) {
        const ms = Math.round(now() - started);
        const message = error instanceof Error ? error.message : String(error);
        steps.push({ name, ok: false, ms, provenBy: message });
        terminal.write(`  ${paint(31, '✗')} ${name} ${paint(2, `${ms} ms`)}\n      ${message}\n`);
        throw error instanceof StepFailed ? error : new StepFailed(`${name}: ${message}`, { cause: error });
      }
    },
    table: () =>
      formatTable(
        ['step', 'ms', 'ok', 'proven by'],
        steps.map((step) => [step.name, step.ms, step.ok ? 'yes' : 'no', step.provenBy]),
      ),
  };
}

/** Ends the step unless `condition` holds. */
export function prove(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new StepFailed(otherwise);
}
