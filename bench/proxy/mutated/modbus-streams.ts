// Streams of Modbus requests, allowed and denied among each other, and what an attacker does to them.
import { FORBIDDEN } from '../jobs/ping-pong.ts';
import { MAX_VALUE, readable, UNIT, writable } from '../policy.ts';
import type { Random } from './random.ts';
import type { Stream, Who } from './suite.ts';

const word = (value: number): [number, number] => [(value >> 8) & 0xff, value & 0xff];

function frame(random: Random, pdu: readonly number[], unit = UNIT): Buffer {
  const bytes = Buffer.from([...word(random.below(0x10000)), 0, 0, ...word(pdu.length + 1), unit, ...pdu]);
  return bytes;
}

type Make = (random: Random) => Buffer;

const [firstReadable, secondReadable] = readable as [readonly [number, number], readonly [number, number]];
const [writeFrom, writeTo] = writable;

const read: Make = (random) =>
  frame(random, [random.between(1, 4), ...word(random.between(0, 400)), ...word(random.between(1, 99))]);
const setPoint: Make = (random) =>
  frame(random, [6, ...word(random.between(writeFrom, writeTo)), ...word(random.below(MAX_VALUE + 1))]);
const coil: Make = (random) =>
  frame(random, [5, ...word(random.between(writeFrom, writeTo)), random.pick([0, 255]), 0]);
const stop: Make = (random) => frame(random, [5, 0, 0, 255, 0]);

function writeMany(random: Random, address: number, values: readonly number[], unit = UNIT): Buffer {
  return frame(
    random,
    [16, ...word(address), ...word(values.length), values.length * 2, ...values.flatMap(word)],
    unit,
  );
}
const setPoints: Make = (random) => {
  const count = random.between(1, 20);
  const values = Array.from({ length: count }, () => random.below(MAX_VALUE + 1));
  return writeMany(random, random.between(writeFrom, writeTo - count + 1), values);
};
const coils: Make = (random) => {
  const count = random.between(1, 40);
  const bytes = Array.from({ length: Math.ceil(count / 8) }, () => random.below(256));
  // Bits behind the last coil are 0, as the specification pads them.
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) & (0xff >> ((8 - (count % 8)) % 8));
  return frame(random, [
    15,
    ...word(random.between(writeFrom, writeTo - count + 1)),
    ...word(count),
    bytes.length,
    ...bytes,
  ]);
};
function exchange(random: Random, readAt: number, writeAt: number, values: readonly number[]): Buffer {
  const head = [23, ...word(readAt), ...word(2), ...word(writeAt), ...word(values.length), values.length * 2];
  return frame(random, [...head, ...values.flatMap(word)]);
}

/** What operators may ask, and in part viewers. */
const usual: readonly Make[] = [
  read,
  read,
  read,
  setPoint,
  coil,
  stop,
  setPoints,
  coils,
  (random) => exchange(random, writeFrom, writeFrom + 5, [random.below(MAX_VALUE)]),
];

/** What nobody may, most of it one step beyond what somebody may. */
const forbidden: readonly Make[] = [
  (random) => frame(random, [6, ...word(FORBIDDEN), 0, 1]),
  (random) => frame(random, [6, ...word(writeTo + 1), 0, 1]),
  (random) => frame(random, [6, ...word(writeFrom), ...word(MAX_VALUE + 1)]),
  (random) => writeMany(random, writeTo, [1, 2]),
  (random) => writeMany(random, writeFrom, [1, 2, 3, MAX_VALUE + 1, 4]),
  (random) => writeMany(random, writeFrom, [1], random.pick([0, 2, 255])),
  (random) => frame(random, [3, ...word(firstReadable[1]), 0, 2]),
  (random) => frame(random, [3, ...word(secondReadable[1]), 0, 2]),
  (random) => frame(random, [3, 0, 0, 0, 1], random.pick([0, 2, 255])),
  (random) => exchange(random, FORBIDDEN, writeFrom, [1]),
  (random) => exchange(random, writeFrom, FORBIDDEN, [1]),
  (random) => exchange(random, writeFrom, writeFrom, [MAX_VALUE + 1]),
  (random) => frame(random, [22, ...word(writeFrom), 0, 0, 0, 1]),
  (random) => frame(random, [5, ...word(1), 255, 0]),
  (random) => frame(random, [15, ...word(writeTo), 0, 9, 2, 255, 1]),
  (random) =>
    frame(random, [random.pick([7, 8, 11, 17, 20, 21, 24, 43, 90, 0x83, 0xff, 0]), ...word(random.below(99))]),
  // Not asked by the specification.
  (random) => frame(random, [3, 0, 0, ...word(random.pick([0, 126, 0x7fff, 0x8000, 0xffff]))]),
  (random) => frame(random, [3, 255, 255, 0, 2]),
  (random) => frame(random, [5, ...word(writeFrom), 18, 52]),
];

const prefixes: readonly Buffer[] = [
  Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 196]),
  Buffer.from([0, 0, 0, 0, 0, 0]),
  Buffer.from([0, 1, 0, 0, 0]),
  Buffer.from([1, 3, 0, 0, 0, 1, 0x84, 0x0a]),
];

type Damage = (frames: Buffer[], random: Random) => void;

const at = (frames: readonly Buffer[], random: Random): number => random.below(frames.length);
/** Bytes of one frame changed in a copy. */
function change(frames: Buffer[], random: Random, by: (bytes: Buffer) => Buffer | undefined): void {
  const index = at(frames, random);
  const copy = Buffer.from(frames[index] ?? Buffer.alloc(8));
  frames[index] = by(copy) ?? copy;
}
const setLength =
  (of: (random: Random, actual: number) => number): Damage =>
  (frames, random) =>
    change(frames, random, (bytes) => {
      if (bytes.length >= 6) bytes.writeUInt16BE(of(random, bytes.length - 6) & 0xffff, 4);
      return bytes;
    });

/** By name, as `against` counts them. */
const damages: Readonly<Record<string, Damage>> = {
  lengthOffByOne: setLength((random, actual) => actual + random.pick([-1, 1])),
  lengthOfSeveral: setLength((random, actual) => actual + 12 * random.between(1, 3)),
  lengthOversize: setLength((random) => random.pick([255, 256, 260, 0x0106, 0x7fff, 0xfffe])),
  lengthNegative: setLength((random) => -random.between(1, 20)),
  lengthTiny: setLength((random) => random.below(3)),
  protocolId: (frames, random) =>
    change(frames, random, (bytes) => void (bytes[2 + random.below(2)] = random.between(1, 255))),
  bitFlip: (frames, random) =>
    change(frames, random, (bytes) => {
      const index = random.below(bytes.length);
      bytes[index] = (bytes[index] ?? 0) ^ (1 << random.below(8));
      return bytes;
    }),
  byteCount: (frames, random) =>
    change(frames, random, (bytes) => void (bytes[Math.min(12, bytes.length - 1)] = random.below(256))),
  quantity: (frames, random) =>
    change(frames, random, (bytes) => void (bytes[Math.min(11, bytes.length - 1)] = random.below(256))),
  truncated: (frames, random) => change(frames, random, (bytes) => bytes.subarray(0, random.below(bytes.length))),
  doubledBytes: (frames, random) =>
    change(frames, random, (bytes) => {
      const index = random.below(bytes.length);
      return Buffer.concat([bytes.subarray(0, index + 1), bytes.subarray(index)]);
    }),
  droppedBytes: (frames, random) =>
    change(frames, random, (bytes) => {
      const index = random.below(bytes.length);
      return Buffer.concat([bytes.subarray(0, index), bytes.subarray(index + random.between(1, 4))]);
    }),
  insertedBytes: (frames, random) =>
    change(frames, random, (bytes) => {
      const index = random.below(bytes.length);
      return Buffer.concat([bytes.subarray(0, index), Buffer.from([random.below(256)]), bytes.subarray(index)]);
    }),
  garbagePrefix: (frames, random) => void frames.unshift(random.pick(prefixes)),
  garbageBetween: (frames, random) => void frames.splice(at(frames, random), 0, random.pick(prefixes)),
  // A frame that is whole by its length and holds another one.
  insideAnother: (frames, random) => {
    const inner = random.pick(forbidden)(random);
    const outer = frame(random, [3, 0, 0, 0, 1, ...inner]);
    frames.splice(at(frames, random), 0, outer);
  },
  insideValues: (frames, random) => {
    const inner = frame(random, [6, ...word(FORBIDDEN), 0, 1]);
    const values = Array.from({ length: inner.length / 2 }, (_, index) => inner.readUInt16BE(2 * index));
    frames.splice(at(frames, random), 0, writeMany(random, writeFrom, values));
  },
  unfinished: (frames, random) =>
    void frames.push((frames.at(-1) ?? Buffer.alloc(8)).subarray(0, random.between(1, 7))),
};

/** What whole messages can have done to them and stay whole. */
const rearrangements: Readonly<Record<string, Damage>> = {
  repeated: (frames, random) => void frames.splice(at(frames, random), 0, frames[at(frames, random)] as Buffer),
  swapped: (frames, random) => {
    const [one, other] = [at(frames, random), at(frames, random)];
    [frames[one], frames[other]] = [frames[other] as Buffer, frames[one] as Buffer];
  },
  sameTransaction: (frames) => {
    frames.forEach((bytes, index) => {
      const copy = Buffer.from(bytes);
      copy.writeUInt16BE(7, 0);
      frames[index] = copy;
    });
  },
  pipelined: (frames, random) => {
    const more = random.between(5, 40);
    for (let added = 0; added < more; added += 1)
      frames.push(random.pick(random.chance(0.5) ? usual : forbidden)(random));
  },
};

const people: readonly Who[] = ['operator', 'operator', 'operator', 'viewer', 'viewer', 'quarantined', 'nobody'];

export function modbusStream(random: Random): Stream {
  const frames = Array.from({ length: random.between(1, 8) }, () =>
    random.pick(random.chance(0.6) ? usual : forbidden)(random),
  );
  const mutations: string[] = [];
  const apply = (of: Readonly<Record<string, Damage>>): void => {
    const name = random.pick(Object.keys(of));
    of[name]?.(frames, random);
    mutations.push(name);
  };
  if (random.chance(0.5)) apply(rearrangements);
  const isWhole = random.chance(0.35);
  if (!isWhole) for (let count = random.between(1, 3); count > 0; count -= 1) apply(damages);
  return { who: random.pick(people), bytes: Buffer.concat(frames), isWhole, mutations };
}
