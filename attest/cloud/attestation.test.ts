import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, test } from 'node:test';
import { generateKey, keyId, type KeyPair, signJws } from '../../identity/index.ts';
import { CodedError } from '../../runtime/errors.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { encodePosture, EVIDENCE_TYPE, type Posture } from '../posture/posture.ts';
import type { AttestationResult } from '../posture/result.ts';
import { type Attestation, type AttestationEvent, createAttestation } from './attestation.ts';
import { PROGRAM, type ReferenceValues } from './reference-values.ts';

const [a, b] = ['a'.repeat(64), 'b'.repeat(64)];
const keys: Readonly<Record<string, KeyPair>> = { 'plc-1': generateKey(), 'camera-1': generateKey() };
const plcPublicKey = keys['plc-1']?.publicKey ?? assert.fail();
const plcKey = keys['plc-1']?.privateKey ?? assert.fail();

let clock: FakeClock;
let reference: ReferenceValues;
let results: AttestationResult[];
let events: AttestationEvent[];
let attestation: Attestation;

beforeEach(() => {
  clock = new FakeClock();
  reference = { [PROGRAM]: [a], '/usr/bin/plc': [b] };
  results = [];
  events = [];
  attestation = createAttestation({
    clock,
    random: randomBytes,
    referenceValues: () => Promise.resolve(reference),
    deviceKey: (device) => Promise.resolve(keys[device]?.publicKey ?? assert.fail(device)),
    onResult: (device, result) => {
      assert.equal(result.deviceId, device);
      results.push(result);
      return Promise.resolve();
    },
    emit: (event) => {
      events.push(event);
      return Promise.resolve();
    },
  });
});

function postureOver(nonce: Uint8Array, changes: Partial<Posture> = {}): Posture {
  return {
    format: 1,
    deviceId: 'plc-1',
    nonce: Buffer.from(nonce).toString('base64url'),
    collectedAt: clock.now(),
    program: { digest: a, version: '0.1.0' },
    bundle: '',
    executables: { '/usr/bin/plc': b },
    platform: { os: 'linux', kernel: '6.1' },
    ...changes,
  };
}

async function evidence(posture: Posture, key = plcKey, typ = EVIDENCE_TYPE): Promise<string> {
  return await signJws({ key, keyId: keyId(key), typ }, encodePosture(posture));
}

async function refused(code: string, answer: Promise<unknown>): Promise<void> {
  await assert.rejects(answer, { name: 'CodedError', code });
  assert.equal(results.length, 0, 'a refusal is no result');
  const event = events.at(-1);
  assert.equal(event?.activity, 'refuse');
  assert.equal(event.data['code'], code);
  assert.equal(event.severity, code === 'ATTEST_EVIDENCE_LATE' ? 'low' : 'high');
}

describe('attestation', () => {
  test('affirms fresh evidence by the key of the device, and hands on the result', async () => {
    const { nonce, deadlineMs } = attestation.challenge('plc-1');
    assert.equal(deadlineMs, 60_000);
    const result = await attestation.submit('plc-1', nonce, await evidence(postureOver(nonce)));
    assert.equal(result.status, 'affirming');
    assert.equal(result.hardwareClass, 'software');
    assert.equal(result.appraisedAt, clock.now());
    assert.deepEqual(results, [result]);
    assert.deepEqual(
      events.map(({ activity, severity }) => [activity, severity]),
      [['appraise', 'info']],
    );
  });

  test('knows both keys of a device that renews', async () => {
    const next = generateKey();
    const renewing = createAttestation({
      clock,
      random: randomBytes,
      referenceValues: () => Promise.resolve(reference),
      deviceKey: () => Promise.resolve([plcPublicKey, next.publicKey]),
      onResult: () => Promise.resolve(),
      emit: () => Promise.resolve(),
    });
    for (const key of [plcKey, next.privateKey]) {
      const { nonce } = renewing.challenge('plc-1');
      assert.equal(
        (await renewing.submit('plc-1', nonce, await evidence(postureOver(nonce), key))).status,
        'affirming',
      );
    }
  });

  test('contraindicates a changed binary, and says which', async () => {
    const { nonce } = attestation.challenge('plc-1');
    const result = await attestation.submit(
      'plc-1',
      nonce,
      await evidence(postureOver(nonce, { executables: { '/usr/bin/plc': a } })),
    );
    assert.equal(result.status, 'contraindicated');
    assert.equal(events[0]?.severity, 'high');
    assert.equal(events[0]?.data['reason'], '/usr/bin/plc changed');
    assert.equal(events[0]?.data['device'], 'plc-1');
  });

  test('is told again only when something changed, faults every time', async () => {
    const round = async (changes: Partial<Posture> = {}): Promise<number> => {
      const before = events.length;
      const { nonce } = attestation.challenge('plc-1');
      await attestation.submit('plc-1', nonce, await evidence(postureOver(nonce, changes)));
      return events.length - before;
    };
    assert.deepEqual(
      [await round(), await round(), await round({ bundle: b }), await round({ bundle: b })],
      [1, 0, 1, 0],
    );
    const fault = { executables: {} };
    assert.deepEqual([await round(fault), await round(fault), await round(), await round()], [1, 1, 1, 0]);
    assert.equal(results.length, 8);
  });
});

describe('attestation refuses', () => {
  test('evidence by another key, also that of another device', async () => {
    for (const key of [generateKey().privateKey, keys['camera-1']?.privateKey]) {
      const { nonce } = attestation.challenge('plc-1');
      await refused(
        'ATTEST_EVIDENCE_UNTRUSTED',
        attestation.submit('plc-1', nonce, await evidence(postureOver(nonce), key)),
      );
    }
  });

  test('what the device signed for another purpose', async () => {
    const { nonce } = attestation.challenge('plc-1');
    const jws = await evidence(postureOver(nonce), plcKey, 'edgeward-posture+json');
    await refused('ATTEST_EVIDENCE_UNTRUSTED', attestation.submit('plc-1', nonce, jws));
  });

  test('evidence that was changed', async () => {
    const { nonce } = attestation.challenge('plc-1');
    const [header, , signature] = (await evidence(postureOver(nonce))).split('.');
    const body = encodePosture(postureOver(nonce, { program: { digest: a, version: '9' } })).toString('base64url');
    await refused('ATTEST_EVIDENCE_UNTRUSTED', attestation.submit('plc-1', nonce, `${header}.${body}.${signature}`));
  });

  test('evidence that was sent before', async () => {
    const { nonce } = attestation.challenge('plc-1');
    const jws = await evidence(postureOver(nonce));
    await attestation.submit('plc-1', nonce, jws);
    results.length = 0;
    await refused('ATTEST_NONCE_REPLAYED', attestation.submit('plc-1', nonce, jws));
  });

  test('old evidence for a new challenge', async () => {
    const old = attestation.challenge('plc-1');
    const jws = await evidence(postureOver(old.nonce));
    const { nonce } = attestation.challenge('plc-1');
    await refused('ATTEST_NONCE_UNKNOWN', attestation.submit('plc-1', nonce, jws));
  });

  test('evidence over a nonce of its own', async () => {
    const nonce = randomBytes(32);
    await refused('ATTEST_NONCE_UNKNOWN', attestation.submit('plc-1', nonce, await evidence(postureOver(nonce))));
  });

  test('late evidence', async () => {
    const { nonce } = attestation.challenge('plc-1');
    const jws = await evidence(postureOver(nonce));
    await clock.advance(60_001);
    await refused('ATTEST_EVIDENCE_LATE', attestation.submit('plc-1', nonce, jws));
  });

  test('evidence that speaks of another device, and the challenge of another', async () => {
    const { nonce } = attestation.challenge('plc-1');
    const jws = await evidence(postureOver(nonce, { deviceId: 'camera-1' }));
    await refused('ATTEST_DEVICE_MISMATCH', attestation.submit('plc-1', nonce, jws));
    const theirs = attestation.challenge('plc-1').nonce;
    const mine = await evidence(postureOver(theirs, { deviceId: 'camera-1' }), keys['camera-1']?.privateKey);
    await refused('ATTEST_DEVICE_MISMATCH', attestation.submit('camera-1', theirs, mine));
  });

  test('evidence over another connection', async () => {
    const { nonce } = attestation.challenge('plc-1', 'one');
    await refused(
      'ATTEST_NONCE_UNKNOWN',
      attestation.submit('plc-1', nonce, await evidence(postureOver(nonce)), 'two'),
    );
  });

  test('evidence that is no posture, or too large', async () => {
    const first = attestation.challenge('plc-1').nonce;
    const jws = await signJws({ key: plcKey, keyId: keyId(plcKey), typ: EVIDENCE_TYPE }, Buffer.from('{}'));
    await refused('ATTEST_EVIDENCE_INVALID', attestation.submit('plc-1', first, jws));
    const second = attestation.challenge('plc-1').nonce;
    await refused('ATTEST_EVIDENCE_TOO_LARGE', attestation.submit('plc-1', second, 'x'.repeat(262_145)));
  });

  test('every second try with one challenge, whatever was wrong with the first', async () => {
    const { nonce } = attestation.challenge('plc-1');
    await refused('ATTEST_EVIDENCE_UNTRUSTED', attestation.submit('plc-1', nonce, 'x'));
    await refused('ATTEST_NONCE_REPLAYED', attestation.submit('plc-1', nonce, await evidence(postureOver(nonce))));
  });
});

describe('when a part is away there is no result', () => {
  const broken = (): Promise<never> =>
    Promise.reject(
      new CodedError('DATABASE_UNAVAILABLE', { status: 'UNAVAILABLE', remedy: 'Wait' }, 'database is gone'),
    );

  for (const port of ['referenceValues', 'deviceKey', 'onResult'] as const) {
    test(port, async () => {
      const stored: unknown[] = [];
      const partial = createAttestation({
        clock,
        random: randomBytes,
        referenceValues: () => Promise.resolve(reference),
        deviceKey: () => Promise.resolve(keys['plc-1']?.publicKey ?? assert.fail()),
        onResult: (_, result) => Promise.resolve(void stored.push(result)),
        emit: (event) => Promise.resolve(void events.push(event)),
        [port]: broken,
      });
      const { nonce } = partial.challenge('plc-1');
      await assert.rejects(partial.submit('plc-1', nonce, await evidence(postureOver(nonce))), /database is gone/);
      assert.deepEqual([stored, events], [[], []]);
    });
  }
});
