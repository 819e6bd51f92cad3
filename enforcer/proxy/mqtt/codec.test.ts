// Our codec beside an independent one: each reads what the other writes, and whatever we accept, it reads the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { comparable, inOracleWords, json, oracleDecodes, oracleEncodes } from '../../../test/proxy/mqtt-oracle.ts';
import { followers, openings } from '../../../test/proxy/mqtt-packets.ts';
import { decode, type Decoded } from './decode.ts';
import { encode, type EncodedPacket } from './encode.ts';
import type { MqttVersion, Sender } from './packet.ts';
import { createFrameReader } from './reader.ts';

const bounds = { maxPacketBytes: 1 << 20, maxFirstPacketBytes: 1 << 20 };
const sides = (['client', 'server'] as const).flatMap((sender) =>
  ([4, 5] as const).map((version) => ({ sender, version })),
);

/** Reads the bytes of one packet, which is not the first unless it opens. */
function read(bytes: Buffer, version: MqttVersion, sender: Sender): Decoded {
  const reader = createFrameReader(sender, bounds);
  const opens = bytes.readUInt8(0) >> 4 === (sender === 'client' ? 1 : 2);
  if (!opens) reader.push(encode(opening(version, sender), version));
  const { frames, fault } = reader.push(bytes);
  const [frame, ...more] = frames;
  if (fault !== undefined || frame === undefined || more.length > 0 || reader.isPartial()) {
    return { fault: fault ?? 'not one packet' };
  }
  return decode(frame, version, sender);
}

function opening(version: MqttVersion, sender: Sender): EncodedPacket {
  return sender === 'client'
    ? { type: 'connect', version, clean: true, keepAlive: 0, clientId: 'a', properties: [] }
    : { type: 'connack', sessionPresent: false, reason: 0, properties: [] };
}

for (const { sender, version } of sides) {
  const packets = fc.oneof(
    { weight: 1, arbitrary: openings(version, sender) },
    { weight: 6, arbitrary: followers(version, sender) },
  );
  const name = `codec: MQTT ${version === 4 ? '3.1.1' : '5.0'}, what a ${sender} sends`;

  test(`${name}: written by the oracle, read by us`, () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const decoded = read(oracleEncodes(packet, version), version, sender);
        assert.ok('packet' in decoded, 'fault' in decoded ? decoded.fault : '');
        assert.equal(comparable(inOracleWords(decoded.packet, version)), comparable(inOracleWords(packet, version)));
      }),
      { numRuns: 1_500 },
    );
  });

  test(`${name}: written by us, read by the oracle and by us`, () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const bytes = encode(packet, version);
        assert.deepEqual(oracleDecodes(bytes, version), [comparable(inOracleWords(packet, version))]);
        assert.equal(json(read(bytes, version, sender)), json({ packet }));
      }),
      { numRuns: 1_500 },
    );
  });

  test(`${name}: what we accept of damaged packets the oracle reads the same`, (t) => {
    let accepted = 0;
    const damage = fc.array(
      fc.record({ at: fc.nat(80), kind: fc.constantFrom('set', 'insert', 'remove'), value: fc.nat(255) }),
      { minLength: 1, maxLength: 3 },
    );
    fc.assert(
      fc.property(packets, damage, fc.boolean(), (packet, damages, mend) => {
        const bytes = damaged(encode(packet, version), damages, mend);
        if (bytes.length === 0) return;
        const decoded = read(bytes, version, sender);
        if (!('packet' in decoded) || decoded.packet.type === 'unsupported-connect') return;
        if (decoded.packet.type === 'auth' || isBeyondOracle(decoded)) return;
        accepted++;
        assert.deepEqual(oracleDecodes(bytes, version), [comparable(inOracleWords(decoded.packet, version))]);
      }),
      { numRuns: 6_000 },
    );
    t.diagnostic(`${accepted} of 6000 damaged packets still were packets`);
    assert.ok(accepted > 200);
  });
}

interface Damage {
  readonly at: number;
  readonly kind: string;
  readonly value: number;
}

/** `mend` writes the remaining length anew, so that the damage is looked at and not only the length. */
function damaged(bytes: Buffer, damages: readonly Damage[], mend: boolean): Buffer {
  const list = [...bytes];
  for (const { at, kind, value } of damages) {
    const index = at % (list.length + 1);
    if (kind === 'insert') list.splice(index, 0, value);
    else if (kind === 'remove') list.splice(index, 1);
    else if (index < list.length) list[index] = value;
  }
  if (mend && list.length >= 2 && list.length < 130) list[1] = list.length - 2;
  return Buffer.from(list);
}

/** Where the oracle is known to be wrong about packets that the specification allows. */
function isBeyondOracle(decoded: Decoded): boolean {
  if (!('packet' in decoded) || !('properties' in decoded.packet)) return false;
  const lists = [decoded.packet.properties, 'will' in decoded.packet ? (decoded.packet.will?.properties ?? []) : []];
  // It keeps the last of several values of which the first is empty or false.
  return lists.flat().some(({ name, value }) => name === 'userProperty' && value.includes(''));
}
