// The reckoning: what was acknowledged against what the exported log of the cloud holds.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { AskerReport } from './asker-plan.ts';

export interface Reckoning {
  readonly entries: number;
  readonly acknowledged: number;
  /** Acknowledged ids that the log does not hold. */
  readonly lost: readonly string[];
  /** Entries with a device, epoch and sequence, or an id of the load, that another entry has too. */
  readonly twice: readonly string[];
  /** Chains (device and epoch) and gaps in their sequences. */
  readonly chains: number;
  readonly gaps: number;
}

interface ExportLine {
  readonly entry?: {
    readonly deviceId?: string;
    readonly epoch?: string;
    readonly sequence?: string;
    readonly payload?: string;
  };
}

export async function reckon(exportFile: string, report: AskerReport): Promise<Reckoning> {
  const chains = new Map<string, Set<number>>();
  const ids = new Set<string>();
  const twice: string[] = [];
  let entries = 0;
  for await (const line of createInterface({ input: createReadStream(exportFile), crlfDelay: Infinity })) {
    if (!line.startsWith('{"entry"')) continue;
    const { entry } = JSON.parse(line) as ExportLine;
    entries += 1;
    const chain = `${entry?.deviceId} ${entry?.epoch}`;
    const sequence = Number(entry?.sequence ?? 0);
    const sequences = chains.get(chain) ?? new Set();
    chains.set(chain, sequences);
    if (sequences.has(sequence)) twice.push(`${chain} ${sequence}`);
    sequences.add(sequence);
    const id = idOf(entry?.payload ?? '');
    if (id === undefined) continue;
    if (ids.has(id)) twice.push(id);
    ids.add(id);
  }
  const acknowledged = Object.entries(report.targets).flatMap(([edge, { allowed }]) =>
    allowed.map((n) => `${edge}.${n}`),
  );
  return {
    entries,
    acknowledged: acknowledged.length,
    lost: acknowledged.filter((id) => !ids.has(id)),
    twice,
    chains: chains.size,
    gaps: [...chains.values()].reduce((sum, sequences) => sum + highest(sequences) - sequences.size, 0),
  };
}

/** Highest sequence; a chain starts at 1. */
function highest(sequences: ReadonlySet<number>): number {
  let found = 0;
  for (const sequence of sequences) found = Math.max(found, sequence);
  return found;
}

/** The load's id in the event's path; undefined for every other event. */
function idOf(payload: string): string | undefined {
  const text = Buffer.from(payload, 'base64').toString();
  return /"path":"\/use\?id=([a-z0-9-]+\.\d+)"/.exec(text)?.[1];
}
