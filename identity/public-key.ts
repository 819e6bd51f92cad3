// SubjectPublicKeyInfo of P-256 keys (RFC 5480): named curve, uncompressed point, nothing else.
import { createHash, type KeyObject } from 'node:crypto';
import { bitString, type DerNode, DerFields, oid, readBitStringBytes, readOid, sequence, tags } from './der.ts';
import { identityError } from './errors.ts';
import { jwkOf, publicKeyFromJwk } from './keys.ts';
import { oids } from './oids.ts';

const POINT_BYTES = 65;
const UNCOMPRESSED = 0x04;

/** DER SubjectPublicKeyInfo of a public (or private) P-256 key. */
export function encodePublicKey(key: KeyObject): Buffer {
  return sequence(sequence(oid(oids.ecPublicKey), oid(oids.prime256v1)), bitString(publicPoint(key)));
}

function publicPoint(key: KeyObject): Buffer {
  const { x, y } = jwkOf(key);
  return Buffer.concat([Buffer.from([UNCOMPRESSED]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
}

/** The key in a SubjectPublicKeyInfo element. Imported as JWK: three times as fast as from SPKI, and checked to be on the curve. */
export function readPublicKey(node: DerNode): KeyObject {
  const fields = new DerFields(node, tags.sequence, 'SubjectPublicKeyInfo');
  const algorithm = new DerFields(fields.next(tags.sequence, 'algorithm'), tags.sequence, 'AlgorithmIdentifier');
  const type = readOid(algorithm.next(tags.oid, 'algorithm'));
  const curve = algorithm.optional(tags.oid);
  if (type !== oids.ecPublicKey || curve === undefined || readOid(curve) !== oids.prime256v1) {
    throw identityError('IDENTITY_KEY_UNSUPPORTED', 'the public key is not on the named curve P-256');
  }
  algorithm.end();
  const point = readBitStringBytes(fields.next(tags.bitString, 'subjectPublicKey'));
  fields.end();
  if (point.length !== POINT_BYTES || point[0] !== UNCOMPRESSED) {
    throw identityError('IDENTITY_KEY_INVALID', 'the public key is not an uncompressed point of P-256');
  }
  const x = point.subarray(1, 33).toString('base64url');
  const y = point.subarray(33).toString('base64url');
  return publicKeyFromJwk({ kty: 'EC', crv: 'P-256', x, y });
}

/** Subject key identifier: the first 160 bits of SHA-256 over the point (RFC 7093 section 2, method 1). */
export function subjectKeyIdentifier(key: KeyObject): Buffer {
  return createHash('sha256').update(publicPoint(key)).digest().subarray(0, 20);
}
