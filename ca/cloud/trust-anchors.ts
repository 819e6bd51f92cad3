// What edges pin: the root, the publishers' keys, the orders key, the log's verifier key. Publishers are added here;
// their private keys live with them. A key has one role only, so that none speaks for another.
import type { TrustAnchors } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { jwkOf, keyId, type PublicJwk, publicKeyFromJwk, trustAnchorsToWire } from '../../identity/index.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { CodedError } from '../../runtime/errors.ts';
import { caErrors } from '../errors.ts';
import { limits } from '../limits.ts';
import type { CaPorts } from './ports.ts';
import { bumpVersion, insertPublisher, listPublishers as readPublishers, readVersion } from './queries.ts';
import type { CaTables } from './tables.ts';

type Reader = Pick<CaPorts, 'database' | 'authority'>;

export interface Publisher {
  /** RFC 7638 thumbprint; `kid` of what it signs. */
  readonly keyId: string;
  readonly jwk: PublicJwk;
}

/** Adding a key again is no fault. Errors: CA_PUBLISHER_KEY_INVALID. */
export async function addPublisher(
  ca: CaPorts,
  request: { readonly publicKeyJwk: string; readonly by: string },
): Promise<Publisher> {
  const { trustDomain } = ca.authority;
  const publisher = parsePublisher(ca, request.publicKeyJwk);
  const added = await ca.database.transaction<CaTables, boolean>(async (trx) => {
    const known = await readPublishers(trx, trustDomain);
    if (known.length >= limits.publishersMax && !known.some((row) => row.key_id === publisher.keyId)) {
      throw caErrors.error('CA_PUBLISHER_KEY_INVALID', `there are ${limits.publishersMax} publishers already`);
    }
    const isNew = await insertPublisher(trx, {
      trust_domain: trustDomain,
      key_id: publisher.keyId,
      jwk: canonicalJson(publisher.jwk),
      added_at: ca.clock.now(),
      added_by: request.by,
    });
    if (isNew) await bumpVersion(trx, trustDomain, 'anchors', ca.clock.now());
    return isNew;
  });
  if (added) {
    await ca.emit({
      kind: 'admin',
      activity: 'publisher_add',
      severity: 'high',
      data: { subject: request.by, key: publisher.keyId },
    });
  }
  return publisher;
}

export async function listPublishers(ca: Reader): Promise<Publisher[]> {
  const rows = await readPublishers(ca.database.withTables<CaTables>(), ca.authority.trustDomain);
  return rows.map((row) => ({ keyId: row.key_id, jwk: JSON.parse(row.jwk) as PublicJwk }));
}

/** The anchors and their version; the version starts at 1 and grows with every change. */
export async function trustAnchors(ca: Reader): Promise<{ version: number; anchors: TrustAnchors }> {
  const { authority } = ca;
  const { trustDomain } = authority;
  return await ca.database.transaction<CaTables, { version: number; anchors: TrustAnchors }>(async (trx) => {
    const publishers = await readPublishers(trx, trustDomain);
    const { version } = await readVersion(trx, trustDomain, 'anchors');
    const anchors = trustAnchorsToWire({
      trustDomain,
      roots: [authority.root.certificate.raw],
      publisherKeys: publishers.map((row) => JSON.parse(row.jwk) as PublicJwk),
      ordersKeys: [authority.ordersJwk],
      logVerifierKey: authority.logVerifierKey,
    });
    return { version: version + 1, anchors };
  });
}

function parsePublisher(ca: Reader, text: string): Publisher {
  const wrong = (why: string) => caErrors.error('CA_PUBLISHER_KEY_INVALID', `the publisher’s key is refused: ${why}`);
  if (text.length > limits.publisherJwkMaxCharacters) throw wrong('it is too long');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // Without the text: somebody may have sent the private half.
    throw wrong('it is not JSON');
  }
  let jwk: PublicJwk;
  try {
    jwk = jwkOf(publicKeyFromJwk(json));
  } catch (error) {
    if (error instanceof CodedError) throw wrong(error.message);
    throw error;
  }
  const { ordersJwk, root, intermediate, server } = ca.authority;
  const ours = [ordersJwk, ...[root, intermediate, server].map((owner) => jwkOf(owner.certificate.publicKey))];
  if (ours.some((key) => keyId(key) === keyId(jwk))) throw wrong('it is a key of the control plane');
  return { keyId: keyId(jwk), jwk };
}
