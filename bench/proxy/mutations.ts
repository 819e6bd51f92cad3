// A million mutated streams: no byte of a denied request may reach the server, and what is allowed has to. Most of them through
// the frame, the protocol and the engine between sockets in memory, a part over real sockets through the whole edge.
import { join } from 'node:path';
import type { BenchOptions } from '../bench-options.ts';
import { peerAddress, SERVER } from '../firewall/world.ts';
import { type Figure, figure, type FigureSpec, unmeasured } from '../machine.ts';
import { programFlags, Talk } from '../talk.ts';
import type { SentStream } from './jobs/send-streams.ts';
import { framesOf, mayAsk } from './mutated/modbus-oracle.ts';
import { modbusStream } from './mutated/modbus-streams.ts';
import type { MutatedQuestion } from './mutated/process.ts';
import { randomFrom } from './mutated/random.ts';
import { type Mutated, piecesOf } from './mutated/run.ts';
import type { Who } from './mutated/suite.ts';
import { suites } from './mutated/suites.ts';
import { peerName, ports } from './policy.ts';
import { type BenchWorld, PATH } from './world.ts';

const STREAMS = 1_000_000;
const QUICK_STREAMS = 100_000;
const PROCESSES = 2;
/** Over real sockets, of each kind of client. */
const SOCKET_STREAMS = 2_000;
const QUICK_SOCKET_STREAMS = 200;
const AT_ONCE = 8;
/** Of streams of whole messages at least this share is not denied altogether: a policy of nothing tells nothing. */
const LEAST_ALLOWED = 100;

const specs = {
  denied: {
    id: 'deniedBytes',
    unit: 'bytes',
    goal: {
      relation: 'exactly',
      value: 0,
      text: '0 bytes of a denied request reach the server in 1,000,000 mutated streams',
    },
  },
  lost: {
    id: 'allowedLost',
    unit: 'messages',
    goal: { relation: 'exactly', value: 0, text: 'every allowed message of an unharmed stream gets through' },
  },
  streams: { id: 'mutatedStreams', unit: 'streams' },
} as const satisfies Record<string, FigureSpec>;

export async function measureMutations(world: BenchWorld, options: BenchOptions): Promise<readonly Figure[]> {
  const { quick, progress } = options;
  const streams = Math.ceil((quick ? QUICK_STREAMS : STREAMS) / suites.length / PROCESSES);
  const seen: Record<string, readonly Mutated[]> = {};
  for (const { name } of suites) {
    progress(`${streams * PROCESSES} mutated streams of ${name}`);
    seen[name] = await Promise.all(
      Array.from({ length: PROCESSES }, (_, at) => inProcess({ suite: name, streams, seed: 1_000 + at })),
    );
  }
  progress('mutated streams over real sockets');
  const sockets = await overSockets(world, quick ? QUICK_SOCKET_STREAMS : SOCKET_STREAMS);
  return mutationFigures(seen, sockets, quick ? QUICK_STREAMS : STREAMS);
}

async function inProcess(question: MutatedQuestion): Promise<Mutated> {
  const talk = new Talk(join(import.meta.dirname, 'mutated/process.ts'), [], { flags: programFlags });
  try {
    await talk.next();
    const answer = await talk.ask<Mutated | { readonly error: string }>(question);
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  } finally {
    await talk.stop();
  }
}

export interface OverSockets {
  readonly streams: number;
  readonly connected: number;
  /** Of streams of whole messages, those that got an answer to every message. */
  readonly whole: number;
  readonly answered: number;
  readonly messages: number;
  readonly deniedBytes: number;
  readonly examples: readonly string[];
}

const people: Readonly<Record<Who, string>> = {
  operator: peerAddress(20),
  viewer: peerAddress(21),
  quarantined: peerAddress(22),
  nobody: '10.67.0.9',
};

/** One kind of client after the other, so that what reached the server is known to be of that kind. */
async function overSockets(world: BenchWorld, count: number): Promise<OverSockets> {
  await using client = await world.client();
  await world.edge.quarantine(peerName(22));
  const random = randomFrom(7);
  const seen = { streams: 0, connected: 0, whole: 0, answered: 0, messages: 0, deniedBytes: 0 };
  const examples: string[] = [];
  for (const [who, from] of Object.entries(people) as [Who, string][]) {
    const mayAnswer = who === 'operator' || who === 'viewer';
    const streams = Array.from({ length: mayAnswer ? count : Math.ceil(count / 10) }, (): SentStream => {
      const { bytes, isWhole } = modbusStream(random);
      const pieces = piecesOf(bytes, random);
      return isWhole && mayAnswer ? { pieces, answers: framesOf(bytes).frames.length } : { pieces };
    });
    await world.received('plc');
    const target = { address: SERVER, port: ports.modbus, from };
    const sent = await client.order({ job: 'sendStreams', target, streams, atOnce: AT_ONCE });
    seen.streams += streams.length;
    seen.connected += sent.connected;
    seen.whole += streams.filter(({ answers }) => answers !== undefined).length;
    seen.answered += sent.answered;
    for (const received of await world.received('plc')) {
      const { frames, rest } = framesOf(Buffer.from(received));
      const denied = frames.filter((frame) => !mayAsk(who, frame));
      seen.messages += frames.length - denied.length;
      seen.deniedBytes += denied.reduce((sum, { length }) => sum + length, rest.length);
      for (const bytes of rest.length > 0 ? [...denied, rest] : denied)
        examples.push(`${who}: ${bytes.toString('hex')}`);
    }
  }
  return { ...seen, examples: examples.slice(0, 5) };
}

const total = (seen: readonly Mutated[], of: keyof Mutated): number =>
  seen.reduce((sum, one) => sum + Number(one[of]), 0);

const counted = [
  'streams',
  'wholeStreams',
  'bytes',
  'allowed',
  'delivered',
  'allowedWhole',
  'deliveredWhole',
  'deniedBytes',
  'denied',
  'refused',
  'faulty',
] as const satisfies readonly (keyof Mutated)[];

export function mutationFigures(
  seen: Readonly<Record<string, readonly Mutated[]>>,
  sockets: OverSockets,
  wanted: number,
): Figure[] {
  const all = Object.values(seen).flat();
  const against = {
    ...Object.fromEntries(
      Object.entries(seen).map(([name, runs]) => [
        name,
        Object.fromEntries(counted.map((of) => [of, total(runs, of)])),
      ]),
    ),
    kindsOfMutation: new Set(all.flatMap(({ mutations }) => Object.keys(mutations))).size,
    examples: all.flatMap(({ examples }) => examples).slice(0, 3),
    sockets: { ...sockets, path: PATH },
  };
  const streams = total(all, 'streams') + sockets.streams;
  const faults = [
    ...Object.entries(seen).flatMap(([name, runs]) => [
      ...(total(runs, 'allowedWhole') < LEAST_ALLOWED ? [`${name}: hardly anything may be asked`] : []),
      ...(total(runs, 'deliveredWhole') < total(runs, 'allowedWhole') / 2
        ? [`${name}: what is allowed is denied`]
        : []),
      ...(total(runs, 'denied') + total(runs, 'refused') < LEAST_ALLOWED ? [`${name}: nothing was denied`] : []),
      // Wrong order or a message twice is no byte of a denied request, and no proof either.
      ...(total(runs, 'faulty') > 0 && total(runs, 'deniedBytes') === 0 ? [`${name}: see examples`] : []),
    ]),
    ...(streams < wanted ? [`${streams} streams, expected ${wanted}`] : []),
    ...(sockets.answered < sockets.whole / 2 ? ['over sockets: what is allowed is denied'] : []),
  ];
  const reason = faults.join('; ');
  const deniedBytes = total(all, 'deniedBytes') + sockets.deniedBytes;
  const lost = total(all, 'allowedWhole') - total(all, 'deliveredWhole') + sockets.whole - sockets.answered;
  return [
    reason === '' || deniedBytes > 0
      ? figure(specs.denied, deniedBytes, against)
      : unmeasured(specs.denied, reason, against),
    figure(specs.lost, lost),
    figure(specs.streams, streams),
  ];
}
