// Posture: what an edge says about its own software, as evidence (RFC 9334) over a nonce of the verifier. Canonical JSON,
// so that one statement has one text. Taken by software from itself: it shows changes by those who cannot change the
// enforcer, and no more; hence the hardware class `software`.
import { z } from 'zod';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { attestError } from '../errors.ts';
import { MAX_EXECUTABLES, MAX_PATH_CHARACTERS, NONCE_BYTES } from '../limits.ts';
import { MISSING } from './missing.ts';

/** `typ` of the JWS that carries a posture. */
export const EVIDENCE_TYPE = 'edgeward-evidence+json';

export { MISSING };

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const nonceCharacters = Math.ceil((NONCE_BYTES * 4) / 3);

export const postureSchema = z.strictObject({
  format: z.literal(1),
  deviceId: z.string().regex(/^[a-zA-Z0-9._-]{1,64}$/),
  /** The challenge, base64url. */
  nonce: z.string().regex(new RegExp(`^[A-Za-z0-9_-]{${nonceCharacters}}$`)),
  /** Clock of the edge, milliseconds since the epoch; for people, the verdict does not hang on it. */
  collectedAt: z.int().nonnegative(),
  /** Digest over the enforcer's own files (edge/measure.ts) and its version. */
  program: z.strictObject({ digest, version: z.string().min(1).max(128) }),
  /** Digest of the active manifest; empty while none is active. */
  bundle: z.union([digest, z.literal('')]),
  /** Configured executables: path to SHA-256 or `missing`. */
  executables: z
    .record(z.string().startsWith('/').max(MAX_PATH_CHARACTERS), z.union([digest, z.literal(MISSING)]))
    .refine((paths) => Object.keys(paths).length <= MAX_EXECUTABLES),
  platform: z.strictObject({ os: z.string().max(64), kernel: z.string().max(128) }),
});

export type Posture = z.infer<typeof postureSchema>;

/** The bytes that are signed. */
export function encodePosture(posture: Posture): Buffer {
  return Buffer.from(canonicalJson(posture), 'utf8');
}

/** Reads signed bytes; anything but the canonical text of a posture is refused. */
export function decodePosture(bytes: Uint8Array): Posture {
  const text = Buffer.from(bytes).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw attestError('ATTEST_EVIDENCE_INVALID', 'the evidence is not JSON', { cause });
  }
  const parsed = postureSchema.safeParse(value);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.map(String).join('.') ?? '';
    throw attestError('ATTEST_EVIDENCE_INVALID', `the evidence is not a posture of format 1, see "${where}"`);
  }
  // Canonical: no second member of the same name, one order, no bytes that a reader may see and another not.
  if (!encodePosture(parsed.data).equals(Buffer.from(bytes))) {
    throw attestError('ATTEST_EVIDENCE_INVALID', 'the evidence is not in its canonical form');
  }
  return parsed.data;
}
