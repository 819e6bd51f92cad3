// One load: requests of the corpus in turn over one connection, a fixed number in flight (closed loop), no two of them the
// same bytes, every answer judged.
import { createHash } from 'node:crypto';
import type { Corpus, Expected } from './corpus-file.ts';
import { connectH2, type Reply } from './h2-client.ts';
import { type CallFrames, callFrames } from './h2-frames.ts';
import { AnswerJudge, type Verdict } from './judge-answers.ts';
import { faultOfBlocks } from './header-blocks.ts';
import { percentile } from '../machine.ts';

export interface LoadPlan {
  readonly socket: string;
  /** Requests in flight. */
  readonly streams: number;
  readonly requests: number;
  /** Every request is to be answered with these bytes (base64), whatever it asks: a server that only transports. */
  readonly canned?: string;
  /** Milliseconds without any answer after which the rest counts as lost. */
  readonly patienceMs: number;
}

export interface LoadResult {
  readonly sent: number;
  readonly verdicts: Readonly<Record<Verdict, number>>;
  /** Distinct requests of the corpus that were asked. */
  readonly distinct: number;
  /** Share of the answers that were allows. */
  readonly allowedShare: number;
  readonly seconds: number;
  /** CPU microseconds of the generator, a request. */
  readonly generatorUs: number;
  /** Microseconds from sending to answer, with one in flight; undefined with more. */
  readonly latency:
    | { readonly p50: number; readonly p99: number; readonly p999: number; readonly max: number }
    | undefined;
  /** Why the answers do not count, beside verdicts. */
  readonly fault: string | undefined;
  readonly examples: readonly string[];
}

const MARK_DIGITS = 8;
const MARKS = 10 ** MARK_DIGITS;
/** Odd and not a multiple of five: every sending of a request has another number. */
const MARK_STEP = 48_611_237;

/** Counts on from load to load, so that no server sees the same bytes twice. */
let sendings = 1;

export async function runLoad(corpus: Corpus, plan: LoadPlan): Promise<LoadResult> {
  const client = await connectH2(plan.socket);
  const { first, next } = client.blocks;
  const count = corpus.requests.length;
  if (client.maxStreams < plan.streams) throw new Error(`the server takes ${client.maxStreams} streams only`);
  const frames = corpus.requests.map((message) => callFrames(next, message));
  const expected = plan.canned === undefined ? corpus.expected : [];
  const judge = plan.canned === undefined ? new AnswerJudge(expected) : cannedJudge(Buffer.from(plan.canned, 'base64'));
  const verdicts: Record<Verdict, number> = {
    right: 0,
    'wrong allow': 0,
    'wrong deny': 0,
    'wrong identity': 0,
    late: 0,
    'no answer': 0,
  };
  const examples: string[] = [];
  const latencies = plan.streams === 1 ? new Float64Array(plan.requests) : undefined;
  const offset = sendings % count;
  let sent = 0;
  let answered = 0;
  let sentAt = 0;
  const cpu = process.cpuUsage();
  const started = performance.now();
  const fault = await new Promise<string | undefined>((resolve) => {
    const ask = (): void => {
      const index = (offset + sent) % count;
      const call = sent === 0 ? callFrames(first, corpus.requests[index] as Uint8Array) : (frames[index] as CallFrames);
      const mark = (sendings++ * MARK_STEP) % MARKS;
      sent++;
      if (latencies !== undefined) sentAt = performance.now();
      client.call(index, call, (bytes, message) => writeMarks(bytes, message, corpus.marks[index], mark));
    };
    let last = answered;
    const watch = setInterval(() => {
      if (answered === last) end(`${sent - answered} requests without an answer for ${plan.patienceMs} ms`);
      last = answered;
    }, plan.patienceMs);
    const end = (reason: string | undefined): void => {
      clearInterval(watch);
      resolve(reason);
    };
    client.onEnd = (reason) => end(`the connection ended: ${reason}`);
    client.onReply = (index, reply) => {
      if (latencies !== undefined) latencies[answered] = (performance.now() - sentAt) * 1_000;
      answered++;
      const verdict = judge.judge(index, reply);
      verdicts[verdict]++;
      if (verdict !== 'right' && examples.length < 5) examples.push(exampleOf(verdict, index, reply, expected[index]));
      if (sent < plan.requests) ask();
      else if (answered === plan.requests) end(undefined);
    };
    for (let stream = 0; stream < plan.streams && sent < plan.requests; stream++) ask();
    client.flush();
  });
  const seconds = (performance.now() - started) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  client.close();
  verdicts['no answer'] += sent - answered;
  return {
    sent,
    verdicts,
    distinct: Math.min(sent, distinctOf(corpus)),
    allowedShare: shareAllowed(expected, offset, sent),
    seconds,
    generatorUs: (user + system) / sent,
    latency: latencies === undefined ? undefined : latencyOf(latencies.subarray(0, answered)),
    fault: fault ?? (await faultOfBlocks(judge.blocks())),
    examples,
  };
}

const counted = new WeakMap<Corpus, number>();

/** Different requests of the corpus, as they are before their marks are set. */
function distinctOf(corpus: Corpus): number {
  const known = counted.get(corpus);
  if (known !== undefined) return known;
  const digests = corpus.requests.map((request) => createHash('sha256').update(request).digest('base64'));
  const distinct = new Set(digests).size;
  counted.set(corpus, distinct);
  return distinct;
}

type Judge = Pick<AnswerJudge, 'judge' | 'blocks'>;

function cannedJudge(canned: Buffer): Judge {
  const headers = new Set<string>();
  const trailers = new Set<string>();
  return {
    judge(_, reply) {
      headers.add(reply.headers);
      trailers.add(reply.trailers);
      if (reply.reset !== undefined || reply.trailers === '') return 'no answer';
      return Buffer.compare(canned, reply.data.subarray(5)) === 0 ? 'right' : 'no answer';
    },
    blocks: () => ({ headers: [...headers], trailers: [...trailers], late: [] }),
  };
}

function writeMarks(bytes: Buffer, message: number, places: readonly number[] | undefined, mark: number): void {
  for (const place of places ?? []) {
    let rest = mark;
    for (let at = message + place + MARK_DIGITS - 1; at >= message + place; at--) {
      bytes[at] = 0x30 + (rest % 10);
      rest = Math.trunc(rest / 10);
    }
  }
}

/** Of requests whose answers were judged right this is what was answered. */
function shareAllowed(expected: readonly Expected[], offset: number, sent: number): number {
  if (expected.length === 0 || sent === 0) return 0;
  let allowed = 0;
  for (let at = 0; at < sent; at++) if (expected[(offset + at) % expected.length]?.allow === true) allowed++;
  return allowed / sent;
}

function latencyOf(values: Float64Array): NonNullable<LoadResult['latency']> {
  const all = [...values];
  const at = (share: number): number => percentile(all, share) ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
}

function exampleOf(verdict: Verdict, index: number, reply: Reply, expected: Expected | undefined): string {
  const bytes = Buffer.from(reply.data).toString('hex').slice(0, 400);
  return `${verdict}: request ${index} expected ${JSON.stringify(expected)}, reset ${reply.reset ?? 'none'}, data ${bytes}`;
}
