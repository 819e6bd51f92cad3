import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { signJws } from '../../identity/index.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { CodedError } from '../../runtime/errors.ts';
import { anna, ben, cleo, hour, person, profile, request, start, ticket } from '../../test/break-glass/people.ts';
import {
  approveBreakGlass,
  newBreakGlassRequest,
  readBreakGlassRequest,
  type TicketExpectation,
  verifyTicket,
} from './break-glass.ts';

const expectation: TicketExpectation = {
  trustDomain: 'plant.example',
  device: 'plc-1',
  profiles: [profile()],
  time: { now: start + hour, trusted: true },
};

const codeOf = async (text: string, changes: Partial<TicketExpectation> = {}): Promise<string> => {
  try {
    await verifyTicket(text, { ...expectation, ...changes });
    return 'fine';
  } catch (error) {
    assert.ok(error instanceof CodedError, String(error));
    return error.code;
  }
};

test('what two different approvers of the profile signed is a ticket', async () => {
  const verified = await verifyTicket(await ticket(), expectation);
  assert.deepEqual(verified.approvers, ['anna', 'ben']);
  assert.equal(verified.profile.id, 'stop-line');
  assert.equal(await codeOf(await ticket({}, [anna, ben, cleo])), 'fine');
  assert.equal(await codeOf(await ticket({}, [cleo, anna])), 'fine', 'in any order');
});

test('one person is never enough, however they sign', async () => {
  assert.equal(await codeOf(await ticket({}, [anna])), 'BREAK_GLASS_APPROVALS');
  assert.equal(await codeOf(await ticket({}, [anna, anna])), 'BREAK_GLASS_APPROVALS');
  assert.equal(await codeOf(await ticket({}, [anna, person('ben')])), 'BREAK_GLASS_SIGNATURE', 'a key of a stranger');
  assert.equal(await codeOf(await ticket({ requestedBy: 'anna' })), 'BREAK_GLASS_APPROVALS', 'who asks approves');
  const twoNames = profile({ approvers: [anna.approver, { name: 'second', key: anna.approver.key }] });
  assert.equal(await codeOf(await ticket({}, [anna, anna]), { profiles: [twoNames] }), 'BREAK_GLASS_APPROVALS');
  const three = profile({ approvals: 3 });
  assert.equal(await codeOf(await ticket(), { profiles: [three] }), 'BREAK_GLASS_APPROVALS');
});

test('an approver of another profile on the same edge is none of this one', async () => {
  const dora = person('dora');
  const other = profile({ id: 'other', approvers: [dora.approver, anna.approver] });
  const profiles = [profile(), other];
  assert.equal(await codeOf(await ticket({ requestedBy: 'eve' }, [anna, dora]), { profiles }), 'BREAK_GLASS_SIGNATURE');
  assert.equal(
    await codeOf(await ticket({ requestedBy: 'eve', profile: 'other' }, [anna, dora]), { profiles }),
    'fine',
  );
});

test('a ticket is for one edge, one profile and generation, and what the profile allows', async () => {
  const wrong: Record<string, Parameters<typeof ticket>[0]> = {
    'another edge': { device: 'plc-2' },
    'another trust domain': { trustDomain: 'other.example' },
    'a profile that is not there': { profile: 'start-line' },
    'an older generation': { generation: 2 },
    'another subject': { subject: 'gateway-1' },
    'an operation more': { operations: ['write', 'reset'] },
    'too long': { minutes: 31 },
  };
  for (const [what, changes] of Object.entries(wrong)) {
    assert.equal(await codeOf(await ticket(changes)), 'BREAK_GLASS_SCOPE', what);
  }
  assert.equal(await codeOf(await ticket(), { profiles: [] }), 'BREAK_GLASS_SIGNATURE', 'no profile, no approver');
});

test('a ticket has its time; an untrusted clock cannot bring back one that signed time has ended', async () => {
  const at = (now: number, trusted: boolean) => ({ time: { now, trusted } });
  const text = await ticket();
  assert.equal(await codeOf(text, at(start + 8 * hour - 1, true)), 'fine');
  assert.equal(await codeOf(text, at(start + 8 * hour, true)), 'BREAK_GLASS_WHEN');
  assert.equal(await codeOf(text, at(start + 8 * hour, false)), 'BREAK_GLASS_WHEN');
  assert.equal(await codeOf(text, at(start - hour, true)), 'BREAK_GLASS_WHEN');
  assert.equal(await codeOf(text, at(start - hour, false)), 'fine', 'nobody knows the time after a cold boot');
  assert.equal(await codeOf(text, at(Number.NaN, true)), 'BREAK_GLASS_WHEN');
});

test('a request that no edge accepts is not written', () => {
  for (const changes of [
    { minutes: 0 },
    { minutes: 61 },
    { notAfter: start },
    { notAfter: start + 24 * hour + 1 },
    { operations: [] },
    { operations: ['write', 'write'] },
    { reason: 'because' },
    { reason: '            ' },
    { ticket: 'A'.repeat(32) },
    { requestedBy: '' },
  ]) {
    assert.throws(
      () => newBreakGlassRequest(request(changes)),
      (error) => error instanceof CodedError && error.code === 'BREAK_GLASS_MALFORMED',
      JSON.stringify(changes),
    );
  }
});

test('approvals of different requests, of another type, or of another spelling are no ticket', async () => {
  const one = await ticket({}, [anna]);
  const other = await ticket({}, [ben]);
  assert.equal(await codeOf(one + other), 'BREAK_GLASS_MALFORMED');
  const content = request();
  const sign = async (typ: string, payload: string): Promise<string> =>
    (await Promise.all([anna, ben].map(({ signer }) => signJws({ ...signer, typ }, Buffer.from(payload)))))
      .map((line) => `${line}\n`)
      .join('');
  const typ = 'edgeward-break-glass+json';
  assert.equal(await codeOf(await sign(typ, canonicalJson(content))), 'fine');
  assert.equal(await codeOf(await sign('edgeward-manifest+json', canonicalJson(content))), 'BREAK_GLASS_SIGNATURE');
  assert.equal(await codeOf(await sign(typ, ` ${canonicalJson(content)}`)), 'BREAK_GLASS_MALFORMED');
  assert.equal(await codeOf(await sign(typ, canonicalJson({ ...content, more: 1 }))), 'BREAK_GLASS_MALFORMED');
});

test('an approval is added to what was read, and to nothing else', async () => {
  const text = newBreakGlassRequest(request());
  const signed = await approveBreakGlass(text, anna.signer);
  assert.deepEqual(readBreakGlassRequest(signed), readBreakGlassRequest(text));
  await assert.rejects(async () => await approveBreakGlass(text.trimEnd(), anna.signer), /not whole/);
});

test('property: no byte of a ticket can be changed, left out or added', async () => {
  const text = await ticket();
  const bytes = Buffer.from(text);
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: bytes.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      fc.constantFrom('flip', 'cut', 'insert', 'end'),
      async (at, change, kind) => {
        const byte = (bytes[at] ?? 0) ^ change;
        const before = bytes.subarray(0, at);
        const mutated = {
          flip: () => [before, Buffer.of(byte), bytes.subarray(at + 1)],
          cut: () => [before, bytes.subarray(at + 1)],
          insert: () => [before, Buffer.of(byte), bytes.subarray(at)],
          end: () => [before],
        }[kind];
        const changed = Buffer.concat(mutated());
        if (changed.equals(bytes)) return;
        assert.notEqual(await codeOf(changed.toString('latin1')), 'fine');
      },
    ),
    { numRuns: 1_500 },
  );
});

test('property: any bytes are refused with a code', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.json()), async (text) => {
      assert.match(await codeOf(text), /^BREAK_GLASS_/);
      assert.match(await codeOf(`${text}\n`), /^BREAK_GLASS_/);
    }),
  );
});
