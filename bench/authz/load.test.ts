// The generator finds out a server that answers wrongly, not at all, everybody alike, or over a corpus that repeats itself.
// The servers are node:http2 (nghttp2), so that a client that speaks HTTP/2 wrongly fails here too.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CheckRequestSchema, CheckResponseSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { checkRequests, marksOf } from './check-requests.ts';
import { faultOf } from './compare.ts';
import type { Corpus, Expected } from './corpus-file.ts';
import { type LoadPlan, type LoadResult, runLoad } from './load.ts';
import type { Access } from './policy.ts';

const accesses: Access[] = Array.from({ length: 200 }, (_, n) => ({
  device: `device-${n % 50}`,
  interface: 'web-1',
  method: 'GET',
  path: `/api/v1/area/3/tank/${String(n).padStart(8, '0')}`,
}));
const expected = accesses.map(({ device }, n): Expected => ({
  allow: n % 2 === 0,
  subject: device,
  rule: `grant:g-${n % 7}`,
}));
const requests = checkRequests(accesses, new Map(), 'principal', 1_800_000_000_000);
const marks = requests.map((request, n) => marksOf(request, accesses[n] ?? { path: '' }));
const corpus: Corpus = { requests, expected, marks };

function headerOf(message: Uint8Array, name: string): string {
  const headers = fromBinary(CheckRequestSchema, message).attributes?.request?.http?.headerMap?.headers ?? [];
  return Buffer.from(headers.find(({ key }) => key === name)?.rawValue ?? []).toString('latin1');
}

const correlationOf = (message: Uint8Array): string => headerOf(message, 'x-correlation-id');
const indexes = new Map(requests.map((request, index) => [correlationOf(request), index]));

function answerOf({ allow, subject, rule }: Expected): Uint8Array {
  const headers = Object.entries({
    'x-edgeward-subject': subject,
    'x-edgeward-decision': allow ? 'allow' : 'deny',
    'x-edgeward-rule': rule,
  }).map(([key, value]) => ({ header: { key, value }, append: false }));
  return toBinary(
    CheckResponseSchema,
    create(CheckResponseSchema, {
      status: { code: allow ? 0 : 7 },
      httpResponse: allow
        ? { case: 'okResponse', value: { headers } }
        : { case: 'deniedResponse', value: { status: { code: 403 }, headers } },
    }),
  );
}

const right = (index: number): Uint8Array => answerOf(expected[index] as Expected);

interface Manner {
  /** The answer to a request; undefined for none. */
  readonly answer: (index: number, message: Buffer) => Uint8Array | undefined;
  readonly status?: string;
  /** Requests that end with DEADLINE_EXCEEDED, or another status, and no message. */
  readonly ended?: (index: number) => string | undefined;
  readonly settings?: Parameters<Http2Server['updateSettings']>[0];
}

async function serve(
  t: TestContext,
  { answer, status = '0', ended = () => undefined, settings = {} }: Manner,
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-load-'));
  const server = createServer({ settings });
  server.on('stream', (stream: ServerHttp2Stream) => {
    const parts: Buffer[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('end', () => {
      const message = Buffer.concat(parts).subarray(5);
      const index = indexes.get(correlationOf(message)) ?? -1;
      const code = ended(index);
      if (code !== undefined) {
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': code },
          { endStream: true },
        );
        return;
      }
      const given = answer(index, message);
      if (given === undefined) return;
      const head = Buffer.alloc(5);
      head.writeUInt32BE(given.length, 1);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
      stream.end(Buffer.concat([head, given]));
    });
  });
  const socket = join(folder, 'h2.sock');
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  return socket;
}

const load = async (socket: string, plan: Partial<LoadPlan> = {}, asked = corpus): Promise<LoadResult> =>
  await runLoad(asked, { socket, streams: 16, requests: 400, patienceMs: 500, ...plan });

test('right answers are right, with any number in flight', async (t) => {
  const socket = await serve(t, { answer: right });
  for (const streams of [1, 16, 64]) {
    const result = await load(socket, { streams });
    assert.equal(faultOf(result), undefined);
    assert.equal(result.verdicts.right, 400);
    assert.equal(result.distinct, 200);
    assert.equal(result.allowedShare, 0.5);
    assert.equal(result.latency === undefined, streams > 1);
  }
});

test('no two requests have the same bytes, and all mean what they meant', async (t) => {
  const seen = new Set<string>();
  const paths = new Set<string | undefined>();
  const answer = (index: number, message: Buffer): Uint8Array => {
    seen.add(message.toString('latin1'));
    const http = fromBinary(CheckRequestSchema, message).attributes?.request?.http;
    paths.add(http?.path);
    assert.equal(http?.path, headerOf(message, ':path'));
    return right(index);
  };
  const socket = await serve(t, { answer });
  await load(socket);
  assert.equal(faultOf(await load(socket)), undefined);
  assert.equal(seen.size, 800);
  assert.equal(paths.size, 800);
});

test('a small window of the server is respected', async (t) => {
  const initialWindowSize = Math.max(...requests.map(({ length }) => length)) + 5;
  const socket = await serve(t, { answer: right, settings: { initialWindowSize, headerTableSize: 0 } });
  assert.equal(faultOf(await load(socket, { streams: 200, requests: 1_000 })), undefined);
});

test('one wrong answer, of any kind, is found', async (t) => {
  const wrongs: Record<string, (right: Expected) => Expected> = {
    'wrong allow': (one) => ({ ...one, allow: true }),
    'wrong deny': (one) => ({ ...one, allow: false }),
    'wrong identity': (one) => ({ ...one, subject: 'device-0' }),
  };
  for (const [verdict, wrong] of Object.entries(wrongs)) {
    const struck = verdict === 'wrong deny' ? 44 : 43;
    const answer = (index: number): Uint8Array =>
      index === struck ? answerOf(wrong(expected[index] as Expected)) : right(index);
    const result = await load(await serve(t, { answer }));
    assert.match(faultOf(result) ?? '', new RegExp(`2 times ${verdict} of 400`));
  }
});

test('a server that answers all alike, or denies all, gets no figure', async (t) => {
  const deny = answerOf({ allow: false, subject: '', rule: '' });
  assert.match(faultOf(await load(await serve(t, { answer: () => deny }))) ?? '', /200 times wrong deny/);
  const one = right(0);
  assert.match(faultOf(await load(await serve(t, { answer: () => one }))) ?? '', /wrong allow/);
  const bytes = await load(await serve(t, { answer: () => Buffer.from([0xff]) }));
  assert.equal(bytes.verdicts['no answer'], 400);
  const empty = await load(await serve(t, { answer: () => new Uint8Array() }));
  assert.equal(empty.verdicts['wrong allow'], 200, 'a message of no bytes is an allow to Envoy');
});

test('a lost answer is found', async (t) => {
  const socket = await serve(t, { answer: (index) => (index === 17 ? undefined : right(index)) });
  const result = await load(socket);
  assert.equal(result.verdicts['no answer'], 2);
  assert.match(faultOf(result) ?? '', /without an answer/);
});

test('an answer with another gRPC status is none', async (t) => {
  const socket = await serve(t, { answer: right, status: '13' });
  assert.match(faultOf(await load(socket)) ?? '', /grpc-status 13/);
});

test('a corpus that repeats itself is told', async (t) => {
  const repeated = {
    requests: requests.map(() => requests[0] as Uint8Array),
    expected: expected.map(() => expected[0] as Expected),
    marks: marks.map(() => marks[0] as number[]),
  };
  const result = await load(await serve(t, { answer: right }), {}, repeated);
  assert.equal(result.verdicts.right, 400);
  assert.equal(result.distinct, 1);
});

test('an answer after its deadline is told; many, or another status, are a fault', async (t) => {
  const few = await load(await serve(t, { answer: right, ended: (index) => (index === 3 ? '4' : undefined) }), {
    requests: 2_000,
  });
  assert.equal(few.verdicts.late, 10);
  assert.match(faultOf(few) ?? '', /10 times late of 2000/);
  const one = { ...few, sent: 100_000, fault: undefined, verdicts: { ...few.verdicts, late: 10 } };
  assert.equal(faultOf(one), undefined);
  const other = await load(await serve(t, { answer: right, ended: (index) => (index === 3 ? '14' : undefined) }));
  assert.match(faultOf(other) ?? '', /grpc-status 14 and no message/);
});
