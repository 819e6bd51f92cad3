// Which filters a client asked for and what became of them, so that the answer has one code for each filter asked for, and
// UNSUBSCRIBE takes back what SUBSCRIBE made of it.
import { MAX_MQTT_FILTER_CHARACTERS, MAX_MQTT_PENDING } from '../limits.ts';
import { firstFailure } from './reasons.ts';

/** What the answer of the server means: for each filter asked for, a code of ours or where the codes of its parts stand. */
export type Layout = readonly ({ readonly code: number } | { readonly at: readonly number[] })[];

export interface Pending {
  readonly type: 'subscribe' | 'unsubscribe';
  /** How many filters the server was sent. */
  readonly sent: number;
  readonly layout: Layout;
}

export interface Subscriptions {
  /** Waits for SUBACK or UNSUBACK. */
  readonly await: (packetId: number, pending: Pending) => void;
  readonly pending: (packetId: number) => Pending | undefined;
  readonly isPending: (packetId: number) => boolean;
  readonly pendingCount: () => number;
  readonly answered: (packetId: number) => void;
  /** Remembers what became of a filter. */
  readonly made: (filter: string, parts: readonly string[]) => void;
  /** Undefined where nothing is known: it was never asked for, or in an earlier connection of the session. */
  readonly partsOf: (filter: string) => readonly string[] | undefined;
  readonly removed: (filter: string) => void;
  /** Of parts, whether some filter other than these became, among others, that one. */
  readonly usedByOthers: (filters: ReadonlySet<string>) => (part: string) => boolean;
  readonly hasRoomFor: (characters: number) => boolean;
  readonly hasRoom: () => boolean;
}

export function createSubscriptions(): Subscriptions {
  const waiting = new Map<number, Pending>();
  const filters = new Map<string, readonly string[]>();
  const sizeOf = (filter: string, parts: readonly string[]): number =>
    filter.length + parts.reduce((sum, part) => sum + part.length, 0);
  let characters = 0;
  /** How many filters became, among others, this part; one packet may ask about a thousand. */
  const uses = new Map<string, number>();
  const count = (parts: readonly string[], change: 1 | -1): void => {
    for (const part of parts) {
      const left = (uses.get(part) ?? 0) + change;
      if (left === 0) uses.delete(part);
      else uses.set(part, left);
    }
  };
  const removed = (filter: string): void => {
    const parts = filters.get(filter);
    if (parts === undefined) return;
    characters -= sizeOf(filter, parts);
    count(parts, -1);
    filters.delete(filter);
  };
  return {
    await: (packetId, pending) => void waiting.set(packetId, pending),
    pending: (packetId) => waiting.get(packetId),
    isPending: (packetId) => waiting.has(packetId),
    pendingCount: () => waiting.size,
    answered: (packetId) => void waiting.delete(packetId),
    made(filter, parts) {
      removed(filter);
      filters.set(filter, parts);
      count(parts, 1);
      characters += sizeOf(filter, parts);
    },
    partsOf: (filter) => filters.get(filter),
    removed,
    usedByOthers(except) {
      const own = new Map<string, number>();
      for (const filter of except) {
        for (const part of filters.get(filter) ?? []) own.set(part, (own.get(part) ?? 0) + 1);
      }
      return (part) => (uses.get(part) ?? 0) > (own.get(part) ?? 0);
    },
    hasRoomFor: (more) => characters + more <= MAX_MQTT_FILTER_CHARACTERS,
    hasRoom: () => waiting.size < MAX_MQTT_PENDING,
  };
}

/** The codes for the filters asked for: the best of their parts, else the first refusal. Undefined for a wrong count. */
export function answerCodes({ sent, layout }: Pending, codes: readonly number[]): readonly number[] | undefined {
  if (codes.length !== sent) return undefined;
  return layout.map((entry) => {
    if ('code' in entry) return entry.code;
    const own = entry.at.map((index) => codes[index] ?? firstFailure);
    const granted = own.filter((code) => code < firstFailure);
    return granted.length > 0 ? Math.max(...granted) : (own[0] ?? firstFailure);
  });
}
