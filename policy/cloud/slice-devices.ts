// Whom the newest slice of a device names, read from what was verified when it was published.
import { manifestSchema, sliceSchema } from '../bundle/index.ts';
import type { Publications } from './publications.ts';

/** Slices remembered; the least recently asked for goes first. */
const maxRemembered = 256;

/** Empty when nothing is published for the device, or when it cannot be read any more. */
export function createSliceDevices(
  publications: Pick<Publications, 'manifestFor' | 'chunk'>,
): (deviceId: string) => Promise<ReadonlySet<string>> {
  const known = new Map<string, ReadonlySet<string>>();
  return async (deviceId) => {
    const current = await publications.manifestFor(deviceId);
    if (current === undefined) return new Set();
    const found = known.get(current.digest) ?? (await read(publications, current.manifestJws));
    known.delete(current.digest);
    known.set(current.digest, found);
    const oldest = known.keys().next().value;
    if (known.size > maxRemembered && oldest !== undefined) known.delete(oldest);
    return found;
  };
}

async function read(publications: Pick<Publications, 'chunk'>, manifestJws: string): Promise<ReadonlySet<string>> {
  const manifest = parsed(manifestSchema, Buffer.from(manifestJws.split('.')[1] ?? '', 'base64url'));
  const chunks = await Promise.all(
    (manifest?.chunks ?? []).map(async ({ digest }) => (await publications.chunk(digest)) ?? Buffer.alloc(0)),
  );
  return new Set(parsed(sliceSchema, Buffer.concat(chunks))?.devices.map(({ id }) => id));
}

/** A publisher signs what he likes: what is no slice names nobody, and must not stop whoever asks. */
function parsed<T>(schema: { parse(value: unknown): T }, bytes: Buffer): T | undefined {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    return undefined;
  }
}
