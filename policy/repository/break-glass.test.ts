import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateKey, jwkOf } from '../../identity/index.ts';
import { formatPlace } from '../../runtime/errors.ts';
import { knownFeatures, requiredFeatures } from '../bundle/features.ts';
import { sliceSchema } from '../bundle/slice.ts';
import { compileSlice } from '../engine/engine.ts';
import { buildSlices } from './build.ts';
import { loadRepository } from './load.ts';
import { sampleFiles, sampleNow, treeOf } from './sample-tree.ts';

const [anna, ben, cleo] = [1, 2, 3].map(() => JSON.stringify(jwkOf(generateKey().publicKey)));

interface Written {
  readonly approvers?: string;
  readonly more?: string;
}

const load = ({ approvers = `[{name: anna, key: ${anna}}, {name: ben, key: ${ben}}]`, more = '' }: Written = {}) => {
  const text = `profiles:
  - id: stop-line
    subjects: [gateway-1]
    interface: hmi-web
    operations: [view]
    approvers: ${approvers}
    ${more.includes('maxDuration') ? '' : 'maxDuration: 20m'}
    ${more.includes('uses') ? '' : 'uses: 2'}
    ${more.includes('generation') ? '' : 'generation: 1'}
    ${more}
`;
  return loadRepository(treeOf({ ...sampleFiles, 'break-glass/line.yaml': text }), sampleNow);
};

test('a profile is in the slice of the device that serves the interface, and in no other', () => {
  const { repository, problems } = load();
  assert.ok(repository, problems.map(({ message }) => message).join('\n'));
  const slices = buildSlices(repository);
  const profile = slices.get('hmi-1')?.breakGlass?.[0];
  assert.deepEqual(profile, {
    id: 'stop-line',
    subjects: ['gateway-1'],
    interface: 'hmi-web',
    device: 'hmi-1',
    operations: ['view'],
    binding: 'svid',
    approvers: [
      { name: 'anna', key: JSON.parse(anna ?? '') as unknown },
      { name: 'ben', key: JSON.parse(ben ?? '') as unknown },
    ],
    approvals: 2,
    maxMinutes: 20,
    uses: 2,
    generation: 1,
    afterHardExpiry: false,
    place: 'break-glass/line.yaml:2',
  });
  for (const [device, slice] of slices) {
    assert.deepEqual(sliceSchema.parse(slice), slice);
    assert.equal(slice.breakGlass !== undefined, device === 'hmi-1', device);
    assert.equal(requiredFeatures(slice).includes('break-glass'), device === 'hmi-1', device);
    compileSlice(slice, { digest: '', softExpiry: 1, hardExpiry: 2 });
  }
  assert.ok(knownFeatures.includes('break-glass'));
});

test('a profile that one person could open, that lasts too long, or that is not written right is an error', () => {
  const one = `{name: anna, key: ${anna}}`;
  const wrong: Record<string, Written> = {
    'one approver': { approvers: `[${one}]` },
    'a key twice': { approvers: `[${one}, {name: ben, key: ${anna}}]` },
    'a name twice': { approvers: `[${one}, {name: anna, key: ${ben}}]` },
    'one approval': { more: 'approvals: 1' },
    'more approvals than approvers': { more: 'approvals: 3' },
    'no approval': { more: 'approvals: 0' },
    'too long': { more: 'maxDuration: 61m' },
    'not whole minutes': { more: 'maxDuration: 90s' },
    'too many uses': { more: 'uses: 17' },
    'no uses': { more: 'uses: 0' },
    'no generation': { more: 'generation: 0' },
    'a bare address': { more: 'binding: ip' },
    'an unknown key': { more: 'approver: anna' },
    'a private key': { approvers: `[${one}, {name: ben, key: ${(ben ?? '').replace('}', ',"d":"AA"}')}}]` },
    'a point off the curve': {
      approvers: `[${one}, {name: ben, key: {kty: EC, crv: P-256, x: ${'A'.repeat(43)}, y: ${'A'.repeat(43)}}}]`,
    },
  };
  for (const [what, written] of Object.entries(wrong)) {
    const { repository, problems } = load(written);
    assert.equal(repository, undefined, what);
    assert.ok(
      problems.some(({ rule, place }) => rule === 'POLICY_FORMAT' && formatPlace(place).startsWith('break-glass/')),
      `${what}: ${problems.map(({ rule, message }) => `${rule} ${message}`).join('\n')}`,
    );
  }
  assert.ok(
    load({ approvers: `[${one}, {name: ben, key: ${ben}}, {name: cleo, key: ${cleo}}]`, more: 'approvals: 3' })
      .repository,
  );
});
