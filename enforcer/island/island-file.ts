// island.json in the state directory: what is known of island mode, for the next start and for whoever acts while no edge
// runs. Replaced as a whole, with the digest of what it says.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { type FileSystem, isErrno } from '../../store/files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import type { IslandRecord } from './island-record.ts';
import { MAX_ISLAND_BYTES, MAX_UNTOLD } from './limits.ts';

const text = z.string().max(512);
const entered = z.strictObject({
  by: text,
  reason: text,
  enteredAt: z.int(),
  boot: text,
  uptimeMs: z.number().nonnegative(),
  leaseMs: z.int().positive().optional(),
});
const untold = z.strictObject({ at: z.int(), activity: z.enum(['island-on', 'island-off']), by: text, reason: text });
const content = z.strictObject({
  ordered: entered.extend({ sequence: z.int().positive() }).optional(),
  local: entered.optional(),
  ended: z.int().positive().optional(),
  rejoined: z.int().positive().optional(),
  /** What was done while no edge ran, and is in no log yet. */
  untold: z.array(untold).max(MAX_UNTOLD),
});
const file = z.strictObject({ format: z.literal(1), content, digest: z.string() });

export type Untold = z.infer<typeof untold>;

export interface Stored {
  readonly record: IslandRecord;
  readonly untold: readonly Untold[];
  /** It cannot be read: nobody knows whether this device is in island mode. */
  readonly damaged: boolean;
}

export const islandFile = (stateDir: string): string => join(stateDir, 'island.json');

/** Never rejects. */
export async function readIsland(fs: FileSystem, stateDir: string): Promise<Stored> {
  try {
    const bytes = await fs.readFile(islandFile(stateDir), MAX_ISLAND_BYTES);
    const found = file.parse(JSON.parse(bytes.toString('utf8')));
    if (digestOf(found.content) !== found.digest) throw new Error('its digest does not fit');
    const { untold: entries, ...record } = found.content;
    return { record, untold: entries, damaged: false };
  } catch (error) {
    return { record: {}, untold: [], damaged: !isErrno(error, 'ENOENT') };
  }
}

/** On disk when it resolves. */
export async function writeIsland(
  fs: FileSystem,
  stateDir: string,
  { ordered, local, ended, rejoined }: IslandRecord,
  entries: readonly Untold[],
): Promise<void> {
  const said: z.infer<typeof content> = {
    ...(ordered === undefined ? {} : { ordered: stripped(ordered) }),
    ...(local === undefined ? {} : { local: stripped(local) }),
    ...(ended === undefined ? {} : { ended }),
    ...(rejoined === undefined ? {} : { rejoined }),
    // The first says who began it, the last how it stands.
    untold: entries.length <= MAX_UNTOLD ? [...entries] : [...entries.slice(0, 1), ...entries.slice(1 - MAX_UNTOLD)],
  };
  const bytes = Buffer.from(canonicalJson({ format: 1, content: said, digest: digestOf(said) }));
  await writeDurably(fs, islandFile(stateDir), bytes);
}

/** JSON has no undefined. */
function stripped<T extends { readonly leaseMs?: number | undefined }>({ leaseMs, ...entry }: T) {
  return leaseMs === undefined ? entry : { ...entry, leaseMs };
}

const digestOf = (value: z.infer<typeof content>): string =>
  createHash('sha256').update(canonicalJson(value)).digest('hex');
