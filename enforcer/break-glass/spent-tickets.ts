// The tickets that were used here, on disk before anything opens: a ticket opens once and a quota is what it says, over
// kill -9, power cuts and restarts. One small file, replaced as a whole, with the digest of what it says.
import { join } from 'node:path';
import { z } from 'zod';
import { digestOf } from '../../policy/bundle/index.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { type FileSystem, isErrno } from '../../store/files.ts';
import { storeFault, writeDurably } from '../../store/sealed-file.ts';
import { openingErrors } from './errors.ts';
import { MAX_SPENT, MAX_SPENT_BYTES } from './limits.ts';

const text = z.string().max(512);

const spentSchema = z.strictObject({
  ticket: text,
  profile: text,
  generation: z.int().positive(),
  subject: text,
  operations: z.array(text),
  requestedBy: text,
  approvers: z.array(text),
  /** Ids of the keys that they signed with. */
  keys: z.array(text),
  reason: text,
  minutes: z.int().positive(),
  /** End of the ticket's validity, milliseconds since the epoch. */
  notAfter: z.int(),
  /** Boot in which it was used, and milliseconds since that boot. */
  boot: text,
  uptimeMs: z.number().nonnegative(),
  /** Nothing is open by it any more, and its end has been recorded. */
  ended: z.boolean(),
});

const fileSchema = z.strictObject({
  format: z.literal(1),
  spent: z.array(spentSchema).max(MAX_SPENT),
  digest: z.string(),
});

export type SpentTicket = z.infer<typeof spentSchema>;

const pathIn = (stateDir: string): string => join(stateDir, 'break-glass.json');

/** Throws BREAK_GLASS_DAMAGED for what was not written here. None before the first ticket. */
export async function readSpent(fs: FileSystem, stateDir: string): Promise<SpentTicket[]> {
  const path = pathIn(stateDir);
  let bytes: Buffer;
  try {
    bytes = await fs.readFile(path, MAX_SPENT_BYTES);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw storeFault(error, `cannot read ${path}`);
  }
  try {
    const { spent, digest } = fileSchema.parse(JSON.parse(bytes.toString('utf8')));
    if (digest !== digestOf(canonicalJson(spent))) throw new Error('its digest does not fit');
    return spent;
  } catch (cause) {
    throw openingErrors.error('BREAK_GLASS_DAMAGED', `${path} is not what was written; no ticket is accepted`, {
      cause,
    });
  }
}

/** On disk when it resolves. */
export async function writeSpent(fs: FileSystem, stateDir: string, spent: readonly SpentTicket[]): Promise<void> {
  await fs.mkdir(stateDir);
  const content = canonicalJson({ format: 1, spent, digest: digestOf(canonicalJson(spent)) });
  await writeDurably(fs, pathIn(stateDir), Buffer.from(content));
}
