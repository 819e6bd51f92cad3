// The spool's small state, replaced as a whole: which chain it writes, what the cloud has, what was lost. Its checksum
// matters: a flipped bit in the cursor would free records that nobody has.
import { z } from 'zod';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { crc32c } from './crc32c.ts';

const count = z.int().min(0);

const spoolStateSchema = z.strictObject({
  v: z.literal(1),
  epoch: z.string().regex(/^[0-9a-f]{32}$/),
  createdAtMs: z.int(),
  /** The cloud stored everything up to here. */
  acknowledged: count,
  /** A lower bound of what was durable; a shorter chain on disk means damage, not a torn tail. */
  durable: count,
  losses: z.strictObject({
    /** Events dropped in this epoch, and how many of them a loss record already tells. */
    total: count,
    recorded: count,
    firstMs: z.int(),
    lastMs: z.int(),
    /** SHA-256 over the dropped payloads since the last record, chained. */
    digest: z.string().regex(/^([0-9a-f]{64})?$/),
    reason: z.enum(['', 'full', 'overload', 'unwritable']),
  }),
});
export type SpoolState = z.infer<typeof spoolStateSchema>;

export const maxStateBytes = 4096;

export function encodeState(state: SpoolState): Buffer {
  const body = canonicalJson(state);
  return Buffer.from(`${body}\n${checksum(body)}\n`, 'utf8');
}

/** undefined when the bytes are damaged. */
export function decodeState(bytes: Uint8Array): SpoolState | undefined {
  const [body, sum, rest] = Buffer.from(bytes).toString('utf8').split('\n');
  if (body === undefined || rest !== '' || sum !== checksum(body)) return undefined;
  const parsed = spoolStateSchema.safeParse(JSON.parse(body));
  return parsed.success ? parsed.data : undefined;
}

function checksum(body: string): string {
  return crc32c(Buffer.from(body, 'utf8')).toString(16).padStart(8, '0');
}
