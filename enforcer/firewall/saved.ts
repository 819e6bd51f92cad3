// The last good plan on disk, for the next start: before any network, with nobody to ask.
import { join } from 'node:path';
import { z } from 'zod';
import { CodedError } from '../../runtime/errors.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import { withGroupsOfNow } from './control-groups.ts';
import { firewallErrors } from './errors.ts';
import type { FirewallParts } from './firewall.ts';
import { reachesControlPlane } from './judge.ts';
import { MAX_KEPT_DENIES, MAX_SAVED_PLAN_BYTES } from './limits.ts';
import { planSchema } from './plan.ts';

const savedSchema = z.strictObject({
  live: planSchema,
  /** Never confirmed: what they deny is denied after the next start too. */
  closing: z.array(planSchema).max(MAX_KEPT_DENIES + 1),
});
export type SavedPlans = z.infer<typeof savedSchema>;

type Parts = Pick<FirewallParts, 'fs' | 'directory' | 'log' | 'emit' | 'control'>;

const savedName = 'firewall.json';

/** Of a plan that was never confirmed only what it closes is ever loaded. */
const closingOnly = (plan: SavedPlans['live']): SavedPlans['live'] => ({
  ...plan,
  base: [],
  generation: { sets: [], chains: [] },
  peers: {},
});

/** A full disk must not hold back a plan or an order that is already in force: it is recorded instead. */
export async function save(parts: Parts, { live, closing }: SavedPlans): Promise<void> {
  const path = join(parts.directory, savedName);
  try {
    await writeDurably(parts.fs, path, Buffer.from(JSON.stringify({ live, closing: closing.map(closingOnly) })));
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    parts.log.error({ err: error, path }, 'the firewall plan in force could not be saved for the next start');
    const { code, message } = error;
    await parts.emit({ kind: 'firewall', activity: 'unsaved', severity: 'high', data: { code, message } });
  }
}

/** `live` is absent when it would cut the control plane; what was never confirmed only closes, and is kept all the same. */
export interface ReadPlans {
  readonly live?: SavedPlans['live'];
  readonly closing: SavedPlans['closing'];
}

/** The last good plan and the denies beside it; undefined when there is none, or when it is damaged. */
export async function readSaved(parts: Parts): Promise<ReadPlans | undefined> {
  const path = join(parts.directory, savedName);
  try {
    if ((await parts.fs.stat(path)) === undefined) return undefined;
    const text = (await parts.fs.readFile(path, MAX_SAVED_PLAN_BYTES)).toString('utf8');
    const { live, closing } = savedSchema.parse(JSON.parse(text));
    const saved = { live: withGroupsOfNow(live), closing: closing.map((plan) => withGroupsOfNow(plan)) };
    if (parts.control().every((endpoint) => reachesControlPlane(saved.live, endpoint))) return saved;
    parts.log.warn({ path }, 'the saved firewall plan names another control plane');
    return { closing: saved.closing };
  } catch (cause) {
    const error = firewallErrors.error('FIREWALL_SAVED_PLAN', `${path} is not a firewall plan`, { cause });
    await refuseSaved(parts, error, 'the saved firewall plan is damaged');
  }
  return undefined;
}

export async function refuseSaved(parts: Parts, error: unknown, what: string): Promise<void> {
  parts.log.error({ err: error }, what);
  const code = error instanceof CodedError ? error.code : '';
  const message = error instanceof Error ? error.message : String(error);
  await parts.emit({ kind: 'firewall', activity: 'refuse', severity: 'high', data: { code, message } });
}
