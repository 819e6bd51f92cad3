// Foreign changes as events: the first ones whole and at once, a flood of them as counts. The counts of all events add up to
// the foreign commits to the table, exactly.
import type { EmitEvent, NewEvent } from '../../../audit/spool/index.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { createRateLimit } from '../../../runtime/rate-limit.ts';
import type { RateLimit } from '../../../runtime/rate-limit.ts';
import { DRIFT_EVENTS } from '../limits.ts';
import type { ForeignCommit, Notice } from './notices.ts';

export class Evidence {
  readonly #emit: EmitEvent;
  readonly #limit: RateLimit;
  #last: ForeignCommit | undefined;
  #count = 0;
  #lost = 0;
  #repaired = 0;

  constructor({ emit, clock }: { readonly emit: EmitEvent; readonly clock: Clock }) {
    this.#emit = emit;
    this.#limit = createRateLimit(DRIFT_EVENTS, clock);
  }

  /** Of a notice without this process's own commits. */
  add({ commits, more, lost }: Notice): void {
    this.#last = commits.at(-1) ?? this.#last;
    this.#count += commits.length + more.reduce((sum, { count }) => sum + count, 0);
    this.#lost += lost;
  }

  /** The table is another. */
  async drift(message: string): Promise<void> {
    await this.#tell('drift', 'critical', message);
  }

  /** The table is what it was: undone by whoever changed it, or nothing that decides about packets. */
  async touched(): Promise<void> {
    if (this.#count + this.#lost === 0) return;
    await this.#tell('touched', 'high', 'others wrote to the table, and it is as it was');
  }

  async repaired(message: string, elapsedMs: number): Promise<void> {
    this.#repaired += 1;
    if (this.#limit.take('repaired') > 0) return;
    const data = { message, elapsed_us: Math.round(elapsedMs * 1000), count: this.#repaired };
    this.#repaired = 0;
    await this.#emit({ kind: 'firewall', activity: 'repaired', severity: 'high', data });
  }

  async #tell(activity: string, severity: NonNullable<NewEvent['severity']>, message: string): Promise<void> {
    if (this.#limit.take(activity) > 0) return;
    const last = this.#last;
    const data: NewEvent['data'] = {
      message,
      count: this.#count,
      ...(this.#lost === 0 ? {} : { lost: this.#lost }),
      ...(last === undefined ? {} : byWhom(last)),
    };
    this.#last = undefined;
    this.#count = 0;
    this.#lost = 0;
    await this.#emit({ kind: 'firewall', activity, severity, data });
  }
}

function byWhom({ pid, process, author, generation, changes }: ForeignCommit): NewEvent['data'] {
  return {
    pid,
    process,
    ...(author.command === '' ? {} : { command: author.command }),
    ...(author.uid === undefined ? {} : { uid: author.uid }),
    generation,
    values: [...changes],
  };
}
