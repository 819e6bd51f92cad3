// A publication that is too large for one message: the release and all manifests as one document, cut into chunks that
// are uploaded like any other. Nothing is believed of the document itself; every JWS in it is verified on its own.
import { z } from 'zod';
import { policyErrors } from '../errors.ts';
import { MAX_CHUNK_BYTES, MAX_PUBLICATION_BYTES, MAX_PUBLICATION_PARTS } from '../limits.ts';
import type { BundleChunk } from './chunks.ts';
import { digestOf } from './signed-json.ts';

const partsSchema = z.strictObject({ release: z.string(), manifests: z.array(z.string()) });
/** Release JWS, and the manifest JWS of every device. */
export type PublicationDocument = z.infer<typeof partsSchema>;

/** In order. Throws POLICY_PUBLICATION_TOO_LARGE for what no control plane takes. */
export function cutPublication(document: { release: string; manifests: readonly string[] }): BundleChunk[] {
  const bytes = Buffer.from(JSON.stringify({ release: document.release, manifests: document.manifests }), 'utf8');
  if (bytes.length > MAX_PUBLICATION_BYTES) throw tooLarge(`${bytes.length} bytes of release and manifests`);
  const parts: BundleChunk[] = [];
  for (let start = 0; start < bytes.length; start += MAX_CHUNK_BYTES) {
    const content = bytes.subarray(start, start + MAX_CHUNK_BYTES);
    parts.push({ digest: digestOf(content), content });
  }
  return parts;
}

/** `digests` are lower case hex, in order. Throws POLICY_PUBLICATION_TOO_LARGE, POLICY_CHUNK_MISSING, POLICY_RELEASE_INVALID. */
export async function joinPublication(
  digests: readonly string[],
  chunkByDigest: (digest: string) => Promise<Uint8Array | undefined>,
): Promise<PublicationDocument> {
  if (digests.length > MAX_PUBLICATION_PARTS) throw tooLarge(`${digests.length} parts`);
  const contents: Uint8Array[] = [];
  for (const digest of digests) {
    const content = await chunkByDigest(digest);
    if (content === undefined) throw policyErrors.error('POLICY_CHUNK_MISSING', `part ${digest} is not there`);
    contents.push(content);
  }
  try {
    return partsSchema.parse(JSON.parse(Buffer.concat(contents).toString('utf8')));
  } catch (cause) {
    throw policyErrors.error('POLICY_RELEASE_INVALID', 'the parts are no release with manifests', { cause });
  }
}

function tooLarge(found: string): Error {
  const message = `${found}, at most ${MAX_PUBLICATION_BYTES} bytes in ${MAX_PUBLICATION_PARTS} parts`;
  return policyErrors.error('POLICY_PUBLICATION_TOO_LARGE', message);
}
