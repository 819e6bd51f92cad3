// Chains that nearly hold, for tests of path validation: leaves and authorities below a sample authority with single
// parts replaced or left out. Not used by programs.
import { parseCertificate } from './certificate.ts';
import { oid, sequence, setOf, utf8String } from './der.ts';
import { authorityKeyId, basicConstraints, extKeyUsage, keyUsage, subjectAltUri, subjectKeyId } from './extensions.ts';
import { generateKey } from './keys.ts';
import { oids } from './oids.ts';
import { subjectKeyIdentifier } from './public-key.ts';
import { type Forgery, forgeCertificate, type SampleIssuer } from './sample-authority.ts';

type LeafPart = 'constraints' | 'usage' | 'purposes' | 'keyId' | 'issuerKeyId' | 'name';

/** Parts of a leaf: replaced, or left out when null. */
export type LeafChanges = Partial<Record<LeafPart, Buffer | null>> & { readonly extra?: Buffer };

const leafKeys = generateKey();

/** A leaf of `spiffe://plant.example/device/plc-1` by `issuer`, good but for the changes. */
export function forgeLeaf(issuer: SampleIssuer, changes: LeafChanges = {}, fields: Partial<Forgery> = {}): Buffer {
  const good: Record<LeafPart, Buffer> = {
    constraints: basicConstraints(undefined),
    usage: keyUsage(0),
    purposes: extKeyUsage(oids.serverAuth, oids.clientAuth),
    keyId: subjectKeyId(subjectKeyIdentifier(leafKeys.publicKey)),
    issuerKeyId: authorityKeyId(subjectKeyIdentifier(issuer.keys.publicKey)),
    name: subjectAltUri('spiffe://plant.example/device/plc-1', true),
  };
  const extensions = Object.values({ ...good, ...changes }).filter((part) => part !== null);
  const base = { issuer: issuer.certificate.subject, publicKey: leafKeys.publicKey, extensions };
  return forgeCertificate({ ...base, ...fields }, issuer.keys.privateKey);
}

type AuthorityPart = 'constraints' | 'usage' | 'keyId' | 'issuerKeyId' | 'name';
export type AuthorityChanges = Partial<Record<AuthorityPart, Buffer | null>> & { readonly extra?: Buffer };

/** An authority of plant.example below `above`, good but for the changes. */
export function forgeAuthority(above: SampleIssuer, changes: AuthorityChanges = {}): SampleIssuer {
  const keys = generateKey();
  const own = subjectKeyIdentifier(keys.publicKey);
  const good: Record<AuthorityPart, Buffer> = {
    constraints: basicConstraints({ pathLen: 0 }),
    usage: keyUsage(5),
    keyId: subjectKeyId(own),
    issuerKeyId: authorityKeyId(subjectKeyIdentifier(above.keys.publicKey)),
    name: subjectAltUri('spiffe://plant.example', false),
  };
  const extensions = Object.values({ ...good, ...changes }).filter((part) => part !== null);
  const subject = sequence(setOf(sequence(oid(oids.commonName), utf8String(`forged ${own.toString('hex', 0, 4)}`))));
  const forgery = { issuer: above.certificate.subject, subject, publicKey: keys.publicKey, extensions };
  return { keys, certificate: parseCertificate(forgeCertificate(forgery, above.keys.privateKey)) };
}
