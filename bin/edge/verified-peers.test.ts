import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificatesToPem, parseCertificate } from '../../identity/index.ts';
import { createTestAuthority } from '../../test/support/pki.ts';
import type { OwnIdentity } from './identity.ts';
import { createVerifiedPeers } from './verified-peers.ts';

const authority = createTestAuthority('plant.example');
const stranger = createTestAuthority('plant.example');
const gateway = authority.issue('spiffe://plant.example/device/gateway-1').der;
const pem = certificatesToPem([gateway]);
const day = 86_400_000;

function world() {
  let revoked: ReadonlySet<string> = new Set();
  const identityOf = (from: typeof authority) =>
    ({
      chain: [Buffer.alloc(0), from.intermediate],
      anchors: { trustDomain: 'plant.example', roots: [from.root] },
    }) as unknown as ReturnType<OwnIdentity['current']>;
  let current = identityOf(authority);
  const own = { current: () => current } as OwnIdentity;
  return {
    verify: createVerifiedPeers(own, () => revoked),
    revoke: (der: Buffer) => (revoked = new Set([...revoked, parseCertificate(der).serialHex])),
    moveTo: (from: typeof authority) => (current = identityOf(from)),
  };
}

test('a peer is verified once: the second answer is the first one', () => {
  const { verify } = world();
  const first = verify(pem, Date.now());
  assert.equal(first?.id.uri, 'spiffe://plant.example/device/gateway-1');
  assert.equal(verify(pem, Date.now() + 1), first);
});

test('what was verified is refused once it is revoked, or the authority above it', () => {
  for (const der of [gateway, authority.intermediate, authority.root]) {
    const { verify, revoke } = world();
    verify(pem, Date.now());
    revoke(der);
    assert.throws(() => verify(pem, Date.now()), { code: 'IDENTITY_REVOKED' });
  }
});

test('what was verified is refused before it begins and after it ends, by the clock of the request', () => {
  const { verify } = world();
  verify(pem, Date.now());
  assert.throws(() => verify(pem, Date.now() + 3_650 * day), { code: 'IDENTITY_EXPIRED' });
  assert.throws(() => verify(pem, Date.now() - 3_650 * day), { code: 'IDENTITY_NOT_YET_VALID' });
  assert.ok(verify(pem, Date.now()));
});

test('new roots begin anew', () => {
  const { verify, moveTo } = world();
  verify(pem, Date.now());
  moveTo(stranger);
  assert.throws(() => verify(pem, Date.now()), { code: 'IDENTITY_ISSUER_UNKNOWN' });
  moveTo(authority);
  assert.ok(verify(pem, Date.now()));
});

test('text without a certificate is refused', () => {
  assert.throws(() => world().verify('', Date.now()), { code: 'IDENTITY_CERTIFICATE_INVALID' });
});
