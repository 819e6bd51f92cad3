// Which chunks an edge may ask for: those that the manifests sent on its stream name. The manifest was signed and
// verified when it was published; here it is only read.
import { manifestSchema } from '../../bundle/slice.ts';
import { distributionErrors } from '../errors.ts';
import { MAX_OPEN_MANIFESTS } from '../limits.ts';

export interface NamedChunks {
  /** Remembers the chunks of a manifest that was sent; forgets the oldest. */
  add(manifestJws: Uint8Array): void;
  /** Throws STREAM_CHUNK_NOT_NAMED. */
  require(digestHex: string): void;
}

export function createNamedChunks(): NamedChunks {
  const manifests: ReadonlySet<string>[] = [];
  return {
    add(manifestJws) {
      manifests.push(digestsOf(manifestJws));
      if (manifests.length > MAX_OPEN_MANIFESTS) manifests.shift();
    },
    require(digestHex) {
      if (manifests.some((digests) => digests.has(digestHex))) return;
      throw distributionErrors.error(
        'STREAM_CHUNK_NOT_NAMED',
        `no manifest that was sent to this device names the chunk ${digestHex.slice(0, 16)}…`,
      );
    },
  };
}

function digestsOf(manifestJws: Uint8Array): ReadonlySet<string> {
  const payload = Buffer.from(manifestJws).toString('latin1').split('.')[1] ?? '';
  const manifest = manifestSchema.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
  return new Set(manifest.chunks.map(({ digest }) => digest));
}
