// A state that the orders key signs and that replaces the last one as a whole (device states, revocations): verified,
// newer each time, kept on disk as it came and verified again when it is read back.
import { createHash } from 'node:crypto';
import { type PublicJwk, verifyJws } from '../../identity/index.ts';
import { type FileSystem, isErrno } from '../../store/files.ts';
import { storeFault, writeDurably } from '../../store/sealed-file.ts';
import { activationErrors } from './errors.ts';
import { MAX_STATE_BYTES } from './limits.ts';

export interface Signed<T> {
  readonly version: bigint;
  /** Milliseconds since the epoch, control plane clock. */
  readonly issuedAt: number;
  /** SHA-256 of the signed bytes. */
  readonly digest: Uint8Array;
  readonly value: T;
}

/** What a signed message says of itself, and what is made of it. */
export interface ReadState<T> {
  readonly trustDomain: string;
  readonly version: bigint;
  readonly issuedAtMs: bigint;
  readonly value: T;
}

export interface SignedStateOptions<T> {
  readonly fs: FileSystem;
  readonly path: string;
  readonly typ: string;
  readonly trustDomain: string;
  readonly keys: () => readonly PublicJwk[];
  /** Parses what was verified; throws ORDERS_INVALID or WIRE_*. */
  readonly read: (payload: Uint8Array) => ReadState<T>;
}

export interface SignedState<T> {
  current(): Signed<T> | undefined;
  /** Version that is on disk; 0 for none. */
  durableVersion(): bigint;
  /**
   * Takes what came with `version`: durable and current when it resolves. Older is refused, the same again ignored.
   * Current also when only the disk failed: what is known of a device counts before it can be kept.
   */
  take(version: bigint, payload: Uint8Array): Promise<void>;
}

/** Opens what is on disk; what does not verify there is reported and counts as nothing. */
export async function openSignedState<T>(
  options: SignedStateOptions<T>,
  damaged: (path: string, error: unknown) => void,
): Promise<SignedState<T>> {
  const { fs, path } = options;
  let current: Signed<T> | undefined;
  try {
    current = await verify(await fs.readFile(path, MAX_STATE_BYTES), options);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) damaged(path, storeFault(error, `cannot read ${path}`));
  }
  let durable = current?.version ?? 0n;
  return {
    current: () => current,
    durableVersion: () => durable,
    async take(version, payload) {
      const next = await verify(payload, options);
      if (next.version !== version) {
        throw activationErrors.error('ORDERS_INVALID', `version ${version} was announced, ${next.version} is signed`);
      }
      if (current !== undefined && next.version < current.version) {
        const message = `version ${next.version} is older than ${current.version}, which is in force`;
        throw activationErrors.error('ORDERS_OLDER', message);
      }
      if (next.version === durable) return;
      current = next;
      await writeDurably(fs, path, payload);
      durable = next.version;
    },
  };
}

async function verify<T>(bytes: Uint8Array, options: SignedStateOptions<T>): Promise<Signed<T>> {
  const jws = Buffer.from(bytes).toString('latin1');
  const { payload } = await verifyJws(jws, { typ: options.typ, keys: options.keys() });
  const { trustDomain, version, issuedAtMs, value } = options.read(payload);
  if (trustDomain !== options.trustDomain) {
    const message = `state of ${trustDomain}, edge of ${options.trustDomain}`;
    throw activationErrors.error('ORDERS_TRUST_DOMAIN', message);
  }
  const issuedAt = Number(issuedAtMs);
  if (version < 1n || !Number.isSafeInteger(issuedAt) || issuedAt <= 0) {
    throw activationErrors.error('ORDERS_INVALID', 'the state has no version or no time');
  }
  return { version, issuedAt, digest: createHash('sha256').update(payload).digest(), value };
}
