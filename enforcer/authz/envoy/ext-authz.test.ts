// From bytes to bytes: whatever comes in and whatever breaks, Envoy hears an allow only where the engine gave one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { AccessRequest, Decision } from '../../../policy/engine/index.ts';
import { CheckRequestSchema } from '../../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { noRequestUsage } from '../../request-usage.ts';
import type { AuthzPorts } from '../authorize.ts';
import { check } from './ext-authz.ts';
import { readVerdict } from './read-verdict.ts';

const now = 1_800_000_000_000;
const verdict = (allow: boolean): Decision => ({
  allow,
  reason: allow ? 'granted' : 'no-grant',
  rule: '',
  place: '',
  operation: '',
  bundle: '',
});
const explode = (): never => {
  throw new Error('broken');
};
const reject = () => Promise.reject(new Error('broken'));

interface World {
  readonly ports: AuthzPorts;
  /** Requests that the engine allowed. */
  readonly allowed: AccessRequest[];
  /** Decisions that were remembered. */
  readonly remembered: string[];
}

/** The engine allows GET /status on `web` to gateway-1. */
function world(faults: Partial<AuthzPorts> = {}): World {
  const allowed: AccessRequest[] = [];
  const remembered: string[] = [];
  const ports: AuthzPorts = {
    decide: (request) => {
      const { subject, operation, resource } = request;
      const open =
        subject.id === 'gateway-1' &&
        resource.interface === 'web' &&
        operation.protocol === 'http' &&
        operation.path === '/status';
      if (open) allowed.push(request);
      return verdict(open);
    },
    usage: () => noRequestUsage,
    identify: ({ certificatePem, principal }) => {
      if ((certificatePem ?? principal) !== 'gateway-1') throw new Error('not a device');
      return { id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {} };
    },
    log: {
      note: (_, { decision }) => void remembered.push(decision.reason),
      keep: (_, { decision }) => Promise.resolve(void remembered.push(decision.reason)),
    },
    auditDurable: () => false,
    now: () => now,
    ...faults,
  };
  return { ports, allowed, remembered };
}

const granted = Buffer.from(
  toBinary(
    CheckRequestSchema,
    create(CheckRequestSchema, {
      attributes: {
        source: { certificate: 'gateway-1' },
        request: { http: { method: 'GET', host: 'edge.example', path: '/status' } },
        contextExtensions: { 'edgeward-interface': 'web' },
      },
    }),
  ),
);

test('an allow of the engine is an allow, dated with the request', async () => {
  const { ports, allowed } = world();
  assert.equal(readVerdict(await check(ports, granted)), 'allow');
  assert.equal(allowed[0]?.context.time, now);
  assert.equal(allowed[0]?.context.source, 'ext-authz');
});

test('an answer that waits for nothing is given at once', () => {
  assert.ok(!(check(world().ports, granted) instanceof Promise));
});

test('bytes that are no CheckRequest are denied and remembered', async () => {
  const { ports, remembered } = world();
  assert.equal(readVerdict(await check(ports, Buffer.from([0x0b]))), 'deny');
  assert.equal(remembered.length, 1);
});

test('no bytes and no fault at any port give an allow that the engine did not give', async () => {
  const faults: Partial<AuthzPorts>[] = [
    {},
    { identify: explode },
    { identify: reject },
    { usage: explode },
    { now: explode },
    { decide: explode },
    { auditDurable: explode },
    { log: { note: () => undefined, keep: reject }, auditDurable: () => true },
    { usage: () => ({ ...noRequestUsage, recorded: () => Promise.resolve(false) }) },
  ];
  let allows = 0;
  const change = fc.record({
    at: fc.nat({ max: granted.length }),
    cut: fc.nat({ max: 3 }),
    noise: fc.uint8Array({ maxLength: 3 }),
  });
  const bytes = fc.oneof(
    { weight: 1, arbitrary: fc.constant(granted) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some)) },
    {
      weight: 3,
      arbitrary: change.map(({ at, cut, noise }) =>
        Buffer.concat([granted.subarray(0, at), noise, granted.subarray(Math.min(granted.length, at + cut))]),
      ),
    },
  );
  await fc.assert(
    fc.asyncProperty(bytes, fc.constantFrom(...faults), async (message, fault) => {
      const { ports, allowed } = world(fault);
      if (readVerdict(await check(ports, message)) === 'deny') return;
      allows++;
      assert.ok(allowed.length > 0);
    }),
    { numRuns: 5_000 },
  );
  assert.ok(allows > 100, `${allows} allows`);
});
