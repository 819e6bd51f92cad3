import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { MAX_CHUNK_BYTES, MAX_REGO_MODULE_BYTES } from '../limits.ts';
import { cutChunks } from './chunks.ts';
import { knownFeatures, requiredFeatures } from './features.ts';
import { newPublisher, openOptions, sampleGrant, sampleMeta, sampleSlice } from './sample-slice.ts';
import { openBundle } from './open.ts';
import { sealBundle } from './seal.ts';
import type { Slice, SliceOperation } from './slice.ts';
import { profile } from '../../test/break-glass/people.ts';

const joined = (slice: Slice): string =>
  Buffer.concat(cutChunks(slice).map((chunk) => Buffer.from(chunk.content))).toString('utf8');

const digests = (slice: Slice): Set<string> => new Set(cutChunks(slice).map((chunk) => chunk.digest));

test('joined chunks are the canonical JSON of the slice, and none is larger than the limit', () => {
  fc.assert(
    fc.property(fc.nat(3000), fc.string({ maxLength: 20 }), fc.nat(600_000), (grants, label, policySize) => {
      const slice: Slice = {
        ...sampleSlice(grants),
        devices: [{ id: 'plc-1', labels: { label }, interfaces: [] }],
        casbin: [
          { name: 'm', model: 'ä'.repeat(10), policy: 'ü'.repeat(policySize / 2), place: 'casbin/m/model.conf:1' },
        ],
      };
      assert.equal(joined(slice), canonicalJson(slice));
      for (const { content } of cutChunks(slice)) assert.ok(content.length > 0 && content.length <= MAX_CHUNK_BYTES);
    }),
    { numRuns: 25 },
  );
});

test('one changed, added or removed grant of thousands moves few chunks', () => {
  const slice = sampleSlice(5000);
  const before = digests(slice);
  assert.ok(before.size > 10, `${before.size} chunks`);
  const moved = (grants: Slice['grants']): number =>
    [...digests({ ...slice, grants })].filter((digest) => !before.has(digest)).length;
  const changed = slice.grants.map((grant, index) => (index === 2500 ? { ...grant, subjects: ['another'] } : grant));
  assert.ok(moved(changed) <= 2);
  assert.ok(moved([sampleGrant(99_999), ...slice.grants]) <= 2);
  assert.ok(moved(slice.grants.filter((_, index) => index !== 2500)) <= 2);
});

test('a change in one section leaves the chunks of the others', () => {
  const slice = sampleSlice(10);
  const before = digests(slice);
  const after = digests({
    ...slice,
    denies: [{ id: 'd', subjects: [], interface: 'plc-modbus', device: 'plc-1', operations: [], place: 'g:1' }],
  });
  assert.equal([...after].filter((digest) => !before.has(digest)).length, 1);
  assert.ok([...after].filter((digest) => before.has(digest)).length >= 5);
});

test('a slice of two thousand grants opens again', async () => {
  const publisher = newPublisher();
  const sealed = await sealBundle(sampleSlice(2000), sampleMeta, publisher);
  assert.deepEqual((await openBundle(openOptions(sealed, publisher))).slice, sampleSlice(2000));
});

test('the largest Rego package opens again, in chunks that edges take', async () => {
  const publisher = newPublisher();
  const wasm = Buffer.alloc(MAX_REGO_MODULE_BYTES, 'module').toString('base64');
  const slice: Slice = { ...sampleSlice(), rego: [{ name: 'p', wasm, data: '{"p":{}}', place: 'rego/p/p.rego:3' }] };
  const sealed = await sealBundle(slice, sampleMeta, publisher);
  assert.ok(sealed.chunks.every(({ content }) => content.length <= MAX_CHUNK_BYTES));
  assert.deepEqual((await openBundle(openOptions(sealed, publisher))).slice, slice);
  const larger = { ...slice, rego: [{ name: 'p', wasm: `${wasm}AAAA`, data: '{}', place: 'rego/p/p.rego:3' }] };
  const refused = await sealBundle(larger, sampleMeta, publisher);
  await assert.rejects(openBundle(openOptions(refused, publisher)), { code: 'BUNDLE_MALFORMED' });
});

const bounded = ({ protocol }: SliceOperation) => (protocol === 'modbus' ? { maxQuantity: 1 } : {});

const webOperation: SliceOperation = {
  name: 'a',
  protocol: 'http',
  methods: ['GET'],
  paths: ['/'],
  maxBodyBytes: 1,
  class: 'normal',
  island: false,
};

test('features are what the slice uses, and every one can be told', () => {
  assert.deepEqual(requiredFeatures(sampleSlice()), ['modbus']);
  const [entry] = sampleSlice().interfaces;
  assert.ok(entry);
  const everything: Slice = {
    ...sampleSlice(),
    interfaces: [
      {
        ...entry,
        auditDurable: true,
        onEnforcerDeath: 'hold',
        observeUntil: 1,
        operations: entry.operations.map((operation) => ({ ...operation, island: true, ...bounded(operation) })),
      },
      {
        ...entry,
        name: 'web',
        protocol: 'http',
        normalise: ['case'],
        operations: [webOperation],
        allowsSampled: 0,
        onDeny: 'close',
      },
      { ...entry, name: 'ssh', protocol: 'port', operations: [], onEnforcerDeath: 'open', openUntil: 1 },
      { ...entry, name: 'broker', protocol: 'mqtt', operations: [], auditClasses: { publish: 'all' } },
      { ...entry, name: 'camera', protocol: 'tls', operations: [] },
    ],
    attributes: [{ source: 'subject', name: 'site', type: 'string' }],
    grants: [
      {
        ...sampleGrant(0),
        conditions: { maxRisk: 10, weekdays: ['mon'] },
        rate: { count: 1, perSeconds: 1 },
        uses: 1,
        obligations: [{ id: 'log' }],
      },
    ],
    denies: [{ id: 'd', subjects: [], interface: 'web', device: 'plc-1', operations: [], until: 1, place: 'g:1' }],
    breakGlass: [profile()],
    firewall: [
      {
        id: 'f',
        tier: 'baseline',
        priority: 500,
        verdict: 'allow',
        direction: 'out',
        transport: 'any',
        peers: [],
        names: ['updates.example.com'],
        observe: true,
        rate: { flows: 1, per: 'second', burst: 1 },
        until: 1,
        place: 'f:1',
      },
      {
        id: 'g',
        tier: 'admin',
        priority: 500,
        verdict: 'deny',
        direction: 'through',
        transport: 'any',
        peers: ['0.0.0.0/0'],
        workload: 'w',
        place: 'f:2',
      },
    ],
    traps: [{ id: 't', transport: 'tcp', ports: [23, 23], blockSeconds: 60, place: 'f:3' }],
    meters: [{ id: 'm', transport: 'any', flowsPerSecond: 1, burst: 1, blockSeconds: 60, place: 'f:4' }],
    island: { leaseSeconds: 60, place: 'f:5' },
    casbin: [{ name: 'm', model: '', policy: '', place: 'c:1' }],
    rego: [{ name: 'p', wasm: '', data: '{}', place: 'r:1' }],
  };
  assert.deepEqual(requiredFeatures(everything), [...knownFeatures].sort());
});
