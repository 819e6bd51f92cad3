// A chain head as the device signs it: JWS of type edgeward-head+json over canonical JSON (ingest.proto, message Head).
import { z } from 'zod';
import { canonicalJson } from '../../runtime/canonical-json.ts';

export const headType = 'edgeward-head+json';

const headSchema = z.strictObject({
  epoch: z.string().regex(/^[0-9a-f]{32}$/),
  sequence: z.int().min(0),
  chain: z.string().regex(/^[0-9a-f]{64}$/),
  /** Wall clock of the device, milliseconds since 1970; a claim. */
  atMs: z.int(),
});
export type SignedHead = z.infer<typeof headSchema>;

export interface HeadPosition {
  readonly epoch: Uint8Array;
  readonly sequence: number;
  readonly chain: Uint8Array;
}

/** The bytes to sign. */
export function encodeHead(head: HeadPosition, atMs: number): Buffer {
  const said: SignedHead = {
    epoch: Buffer.from(head.epoch).toString('hex'),
    sequence: head.sequence,
    chain: Buffer.from(head.chain).toString('hex'),
    atMs: Math.trunc(atMs),
  };
  return Buffer.from(canonicalJson(said), 'utf8');
}

/** undefined when the bytes, verified before, are no head. */
export function decodeHead(payload: Uint8Array): SignedHead | undefined {
  try {
    const parsed = headSchema.safeParse(JSON.parse(Buffer.from(payload).toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
