// The addresses behind the names of the rules in force. Every name is asked for again when its answer's time is over; what was
// answered last holds while nobody answers, for a week, and over a restart. An address that is no longer in the answer holds
// for ten minutes, because services behind several addresses name others each time.
import { join } from 'node:path';
import { z } from 'zod';
import type { EmitEvent } from '../../audit/spool/index.ts';
import { type Family, plainAddress } from '../../enforcer/firewall/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { backoff, type Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import { askResolvers, type AskName } from './ask-names.ts';
import { type EdgeConfig, isPlainAddress } from './config.ts';
import { refusedAnswer, type Taken, takenAddresses } from './name-answers.ts';

export const resolvedNamesLimits = {
  /** Bounds of the time an answer is believed without asking again, milliseconds. */
  minAnswerMs: 30_000,
  maxAnswerMs: 300_000,
  /** For how long an address holds that answers no longer contain, milliseconds. */
  graceMs: 600_000,
  /** For how long the last answer holds when nobody answers, milliseconds. */
  maxStaleMs: 7 * 86_400_000,
  /** Addresses of one name and family; of more, the ones that were answered last. */
  maxAddresses: 32,
  /** Names of all rules of this device; the others are not asked for. */
  maxNames: 1_024,
} as const;

const maxFileBytes = 8 * 1024 * 1024;
const retry = { firstMs: 1_000, maxMs: 60_000 };
/** Questions in flight. */
const maxAsked = 8;
/** How soon a new slice's names are seen, milliseconds. */
const lookEveryMs = 5_000;
/** Without a change the file is written so often, so that the age of answers survives a restart. */
const keepEveryMs = 3_600_000;

export interface ResolvedNames {
  /** Addresses by name, as a plan takes them: never those that no rule may name. */
  addresses(slice: Slice | undefined): Readonly<Record<string, readonly string[]>>;
  /** Asks until the signal aborts; `changed` when a name has other addresses than before. */
  follow(slice: () => Slice | undefined, changed: () => void): Task;
}

export interface ResolvedNamesParts {
  readonly config: Pick<EdgeConfig, 'state'> & { readonly firewall: Pick<EdgeConfig['firewall'], 'dns'> };
  readonly fs: FileSystem;
  readonly clock: Clock;
  /** Trusted wall clock, milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: () => number;
  readonly log: Logger;
  readonly emit: EmitEvent;
  /** Addresses of the control plane. */
  readonly control: () => readonly string[];
  readonly ask?: AskName;
  readonly own?: () => readonly string[];
  readonly limits?: Partial<Record<keyof typeof resolvedNamesLimits, number>>;
}

/** What is known of one name in one family; times are trusted milliseconds since the epoch. */
interface Known {
  answeredAt: number;
  /** Address to when an answer contained it last. */
  seen: Map<string, number>;
}

/** What this process remembers of its questions. */
interface Asking {
  /** Monotonic milliseconds. */
  askAt: number;
  failures: number;
  /** Refusals that were told already. */
  readonly told: Set<string>;
}

interface Question {
  readonly name: string;
  readonly family: Family;
}

const keyOf = ({ name, family }: Question): string => `${family} ${name}`;
const families: readonly Family[] = [4, 6];

/** Asks nobody: reads the file of what was answered last. */
export async function openResolvedNames(parts: ResolvedNamesParts): Promise<ResolvedNames> {
  const { config, clock, log, now } = parts;
  const limits = { ...resolvedNamesLimits, ...parts.limits };
  const ask = parts.ask ?? askResolvers(config.firewall.dns);
  const path = join(config.state, 'resolved-names.json');
  const known = await readKnown(parts, path);
  const asking = new Map<string, Asking>();
  let keptAt = clock.monotonic();
  let tooMany = false;

  const taken = (slice: Slice | undefined): Taken =>
    takenAddresses({
      slice,
      control: parts.control(),
      resolvers: config.firewall.dns,
      ...(parts.own === undefined ? {} : { own: parts.own() }),
    });

  /** Those that hold now. Only an answer lets the others age, not the time without one. */
  function holding(entry: Known | undefined): string[] {
    if (entry === undefined || now() - entry.answeredAt > limits.maxStaleMs) return [];
    return [...entry.seen.keys()].sort();
  }

  function namesOf(slice: Slice | undefined): string[] {
    const names = [...new Set((slice?.firewall ?? []).flatMap((rule) => rule.names ?? []))].sort();
    if (names.length > limits.maxNames && !tooMany) {
      log.error({ names: names.length, most: limits.maxNames }, 'rules name more names than are resolved');
    }
    tooMany = names.length > limits.maxNames;
    return names.slice(0, limits.maxNames);
  }

  async function tell(activity: string, severity: 'medium' | 'high', data: Readonly<Record<string, string | number>>) {
    await parts
      .emit({ kind: 'firewall', activity, severity, data })
      .catch((error: unknown) => log.error({ err: error }, 'a finding about a name of a rule was not recorded'));
  }

  /** Whether other addresses hold than before. */
  async function answered(question: Question, slice: Slice | undefined, signal: AbortSignal): Promise<boolean> {
    const key = keyOf(question);
    const state = asking.get(key) ?? { askAt: 0, failures: 0, told: new Set<string>() };
    asking.set(key, state);
    const before = holding(known.get(key)).join();
    try {
      const answers = await ask(question.name, question.family, signal);
      if (answers.length === 0) throw new Error('the answer has no address');
      const accepted = await acceptable(
        question,
        answers.map(({ address }) => address),
        slice,
        state,
      );
      // Were all refused, nothing was said of the addresses that hold: a hostile answer must not end them either.
      if (accepted.length === 0) throw new Error('no address of the answer may be named by a rule');
      known.set(key, merged(known.get(key), accepted));
      const ttl = Math.min(...answers.map(({ ttlSeconds }) => ttlSeconds)) * 1_000;
      state.askAt = clock.monotonic() + Math.min(limits.maxAnswerMs, Math.max(limits.minAnswerMs, ttl));
      if (state.failures >= alarmAfter && before !== '') {
        log.info({ name: question.name }, 'a name of a rule resolves again');
      }
      state.failures = 0;
    } catch (cause) {
      if (signal.aborted) return false;
      state.failures += 1;
      state.askAt = clock.monotonic() + backoff(state.failures - 1, retry, parts.random);
      await failed(question, state, cause);
    }
    return holding(known.get(key)).join() !== before;
  }

  async function failed(question: Question, state: Asking, cause: unknown): Promise<void> {
    const entry = known.get(keyOf(question));
    // Many names have addresses of one family only.
    if (entry === undefined || state.failures !== alarmAfter) return;
    const { name } = question;
    const message = cause instanceof Error ? cause.message : String(cause);
    log.warn({ name, err: cause }, 'a name of a rule does not resolve; its last answer holds');
    await tell('name-stale', 'medium', { resource: name, message, count: entry.seen.size, last_ms: entry.answeredAt });
  }

  async function acceptable(
    { name }: Question,
    addresses: readonly string[],
    slice: Slice | undefined,
    state: Asking,
  ): Promise<string[]> {
    const owners = taken(slice);
    const accepted: string[] = [];
    for (const address of new Set(addresses)) {
      const reason = refusedAnswer(address, owners);
      if (reason === undefined) {
        accepted.push(plainAddress(address).text);
        continue;
      }
      if (state.told.has(address) || state.told.size >= limits.maxAddresses) continue;
      state.told.add(address);
      log.warn({ name, address, reason }, 'an answer for a name of a rule is refused');
      await tell('name-refused', 'high', { resource: name, address, reason });
    }
    return accepted.slice(0, limits.maxAddresses);
  }

  function merged(before: Known | undefined, addresses: readonly string[]): Known {
    const at = now();
    const seen = new Map(addresses.map((address) => [address, at]));
    const older = [...(before?.seen ?? [])]
      .filter(([address, last]) => !seen.has(address) && at - last <= limits.graceMs)
      .sort(([, a], [, b]) => b - a);
    for (const [address, last] of older.slice(0, limits.maxAddresses - seen.size)) seen.set(address, last);
    return { answeredAt: at, seen };
  }

  async function keep(): Promise<void> {
    keptAt = clock.monotonic();
    const entries = [...known].map(([key, { answeredAt, seen }]) => ({ key, answeredAt, seen: [...seen] }));
    await writeDurably(parts.fs, path, Buffer.from(JSON.stringify({ entries }))).catch((error: unknown) =>
      log.error({ err: error, path }, 'answers of name service could not be kept for a start without it'),
    );
  }

  async function round(slice: Slice | undefined, signal: AbortSignal): Promise<boolean> {
    const questions = namesOf(slice).flatMap((name) => families.map((family): Question => ({ name, family })));
    const wanted = new Set(questions.map(keyOf));
    for (const key of asking.keys()) if (!wanted.has(key)) asking.delete(key);
    let changed = await forget(wanted, slice);
    const due = questions.filter((question) => (asking.get(keyOf(question))?.askAt ?? 0) <= clock.monotonic());
    for (let at = 0; at < due.length && !signal.aborted; at += maxAsked) {
      const results = await Promise.all(
        due.slice(at, at + maxAsked).map((question) => answered(question, slice, signal)),
      );
      changed ||= results.includes(true);
    }
    return changed;
  }

  /** Names that no rule has any more, and answers that are too old to be believed. */
  async function forget(wanted: ReadonlySet<string>, slice: Slice | undefined): Promise<boolean> {
    let changed = false;
    for (const [key, entry] of known) {
      // Before the first slice nobody knows what is wanted.
      const unwanted = slice !== undefined && !wanted.has(key);
      const tooOld = now() - entry.answeredAt > limits.maxStaleMs;
      if (!unwanted && !tooOld) continue;
      known.delete(key);
      changed = true;
      if (!tooOld || unwanted) continue;
      const name = key.slice(2);
      log.error({ name }, 'a name of a rule was not answered for too long; its addresses are closed');
      await tell('name-expired', 'high', { resource: name, count: entry.seen.size, last_ms: entry.answeredAt });
    }
    return changed;
  }

  return {
    addresses(slice) {
      const owners = taken(slice);
      return Object.fromEntries(
        namesOf(slice).map((name) => [
          name,
          families
            .flatMap((family) => holding(known.get(keyOf({ name, family }))))
            // Asked again: inventory, control plane and own addresses may be others than when it was answered.
            .filter((address) => refusedAnswer(address, owners) === undefined),
        ]),
      );
    },
    follow: (sliceNow, changed) => async (signal) => {
      if (config.firewall.dns.length === 0 && parts.ask === undefined) return await untilAborted(signal);
      while (!signal.aborted) {
        const others = await round(sliceNow(), signal);
        if (others) changed();
        if (others || clock.monotonic() - keptAt >= keepEveryMs) await keep();
        const next = Math.min(...[...asking.values()].map(({ askAt }) => askAt)) - clock.monotonic();
        await clock.sleep(Math.max(100, Math.min(lookEveryMs, next)), signal).catch(() => undefined);
      }
    },
  };
}

/** Failures in a row after which it is told: one lost packet is not worth an event. */
const alarmAfter = 3;

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

const time = z.number().min(0);
const fileSchema = z.strictObject({
  entries: z
    .array(
      z.strictObject({
        key: z.string().regex(/^[46] [a-z0-9_.-]{1,253}$/),
        answeredAt: time,
        seen: z.array(z.tuple([z.string().refine(isPlainAddress), time])).max(1_024),
      }),
    )
    .max(2 * resolvedNamesLimits.maxNames),
});

/** What is there; a file that cannot be read counts as none. Nothing in it is younger than now. */
async function readKnown({ fs, log, now }: ResolvedNamesParts, path: string): Promise<Map<string, Known>> {
  try {
    if ((await fs.stat(path)) === undefined) return new Map();
    const { entries } = fileSchema.parse(JSON.parse((await fs.readFile(path, maxFileBytes)).toString('utf8')));
    const past = (at: number): number => Math.min(at, now());
    return new Map(
      entries.map(({ key, answeredAt, seen }) => [
        key,
        { answeredAt: past(answeredAt), seen: new Map(seen.map(([address, at]) => [address, past(at)])) },
      ]),
    );
  } catch (error) {
    log.warn({ err: error, path }, 'the answers of name service that were kept cannot be read and count as unknown');
    return new Map();
  }
}
