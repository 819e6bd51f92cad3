import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { controlVerifier } from './control-verifier.ts';
import { certificatesToPem } from './pem.ts';
import { days, sampleAuthority, sampleNow } from './sample-authority.ts';

const authority = sampleAuthority();
const root = authority.root.certificate.raw;
const intermediate = authority.intermediate.certificate.raw;
const server = authority.issueLeaf('spiffe://plant.example/control/server').der;
const now = () => sampleNow;
const verify = controlVerifier('plant.example', [root], { now });

describe('a client of the control plane', () => {
  test('accepts its server, with or without the root in the chain, roots given as DER or PEM', () => {
    verify([server, intermediate]);
    verify([server, intermediate, root]);
    controlVerifier('plant.example', certificatesToPem([root]), { now })([server, intermediate]);
  });

  test('refuses every other identity of the same authority', () => {
    for (const path of ['control/stream', 'device/server', 'operator/server', 'device/control/workload/server']) {
      const { der } = authority.issueLeaf(`spiffe://plant.example/${path}`);
      assert.throws(() => verify([der, intermediate]), { code: 'IDENTITY_SVID_INVALID' }, path);
    }
  });

  test('refuses a server of another authority or trust domain, none at all, one that is over or revoked', () => {
    const imposter = sampleAuthority();
    const foreign = sampleAuthority('grid.example');
    const theirs = imposter.issueLeaf('spiffe://plant.example/control/server').der;
    const abroad = foreign.issueLeaf('spiffe://grid.example/control/server').der;
    assert.throws(() => verify([theirs, imposter.intermediate.certificate.raw]), { code: 'IDENTITY_ISSUER_UNKNOWN' });
    assert.throws(() => verify([theirs, imposter.intermediate.certificate.raw, imposter.root.certificate.raw]), {
      code: 'IDENTITY_ISSUER_UNKNOWN',
    });
    assert.throws(() => verify([abroad, foreign.intermediate.certificate.raw]), {
      code: 'IDENTITY_TRUST_DOMAIN_MISMATCH',
    });
    assert.throws(() => verify([]), { code: 'IDENTITY_SVID_INVALID' });
    const late = controlVerifier('plant.example', [root], { now: () => sampleNow + days(15) * 1000 });
    assert.throws(() => late([server, intermediate]), { code: 'IDENTITY_EXPIRED' });
    const revoking = controlVerifier('plant.example', [root], { now, revoked: () => true });
    assert.throws(() => revoking([server, intermediate]), { code: 'IDENTITY_REVOKED' });
  });
});
