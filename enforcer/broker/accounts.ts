// The account of each device at the broker: user name its id, password derived from one secret of this edge, so that nothing
// has to be kept for each. Only the proxy knows them; who goes round it has none.
import { hkdfSync, randomBytes } from 'node:crypto';
import { CodedError } from '../../runtime/errors.ts';
import type { FileSystem } from '../../store/files.ts';
import { readPrivate, writeDurably } from '../../store/sealed-file.ts';
import { ACCOUNT_KEY_BYTES } from './limits.ts';

export interface BrokerAccount {
  readonly userName: string;
  readonly password: string;
}

export type AccountOf = (deviceId: string) => BrokerAccount;

/** 32 bytes as base64url, another one for each interface and device. */
export function createAccounts(key: Uint8Array, interfaceName: string): AccountOf {
  if (key.length !== ACCOUNT_KEY_BYTES) throw new RangeError(`the key of accounts has ${ACCOUNT_KEY_BYTES} bytes`);
  return (deviceId) => {
    const info = JSON.stringify(['edgeward broker account', interfaceName, deviceId]);
    const password = Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), info, ACCOUNT_KEY_BYTES));
    return { userName: deviceId, password: password.toString('base64url') };
  };
}

/** Undefined when there is none yet. A file that others may read, or of another length, is refused. */
export async function readAccountKey(fs: FileSystem, path: string): Promise<Buffer | undefined> {
  try {
    const key = await readPrivate(fs, path, ACCOUNT_KEY_BYTES + 1);
    if (key.length === ACCOUNT_KEY_BYTES) return key;
    throw new RangeError(`${path} has ${key.length} bytes, not ${ACCOUNT_KEY_BYTES}`);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'FILE_MISSING') return undefined;
    throw error;
  }
}

/** Reads the key, or makes it when there is none yet. */
export async function openAccountKey(fs: FileSystem, path: string): Promise<Buffer> {
  const known = await readAccountKey(fs, path);
  if (known !== undefined) return known;
  const key = randomBytes(ACCOUNT_KEY_BYTES);
  await writeDurably(fs, path, key);
  return key;
}
