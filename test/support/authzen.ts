// An AuthZEN decision point over a slice with the real engine, for tests.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { createDecisionLog, createPageTokens, serveAuthzen } from '../../enforcer/authz/index.ts';
import type { SearchPorts } from '../../enforcer/authz/authzen/search.ts';
import { createDecide } from '../../enforcer/activation/index.ts';
import { noRequestUsage, type RequestUsage } from '../../enforcer/request-usage.ts';
import type { Slice, VerifiedBundle } from '../../policy/bundle/index.ts';
import {
  compileSlice,
  createUseCounts,
  type Opening,
  rowOf,
  subjectAttributes,
  type SubjectState,
} from '../../policy/engine/index.ts';
import { meta, now } from '../../policy/engine/testing/sample-slice.ts';
import { systemClock } from '../../runtime/clock.ts';

export interface Point {
  readonly ports: SearchPorts;
  readonly events: NewEvent[];
  /** Other than `trusted`. */
  readonly states: Map<string, SubjectState>;
  /** Puts another bundle in force. */
  readonly use: (slice: Slice, digest: string) => void;
  /** Uses of limited grants that were taken. */
  readonly taken: () => number;
}

export function decisionPoint(
  slice: Slice,
  changes: Partial<SearchPorts> = {},
  openings: readonly Opening[] = [],
): Point {
  const events: NewEvent[] = [];
  const states = new Map<string, SubjectState>();
  const compiled = (one: Slice, digest: string) => ({
    bundle: { slice: one, manifest: { ...meta, issuedAt: now } } as unknown as VerifiedBundle,
    engine: compileSlice(one, { ...meta, digest }),
  });
  let active = compiled(slice, meta.digest);
  let taken = 0;
  const counts = createUseCounts();
  const usage: RequestUsage = {
    ...noRequestUsage,
    look: (limit, subject, time) => counts.look(limit, subject, time),
    take: (limit, subject, time) => {
      const answer = counts.take(limit, subject, time);
      if (answer === 'taken') taken++;
      return answer;
    },
  };
  const stateOf = (id: string): SubjectState => states.get(id) ?? 'trusted';
  const emit = (event: NewEvent): Promise<void> => Promise.resolve(void events.push(event));
  const facts = { attestationClass: 'software', attestedAt: now, risk: 0, reduced: false, asOf: now };
  const ports: SearchPorts = {
    decide: createDecide(
      () => active,
      () => ({ now, trusted: true }),
      () => openings,
    ),
    usage: () => usage,
    identify: ({ asserted = '' }) => {
      if (asserted === '') throw new Error('nobody');
      return { id: asserted, binding: 'svid', state: stateOf(asserted), attributes: subjectAttributes(facts) };
    },
    log: createDecisionLog(emit, {
      clock: systemClock,
      random: randomBytes,
      allowsSampled: () => undefined,
      onLost: () => undefined,
    }),
    auditDurable: () => false,
    now: () => now,
    inForce: () => ({ slice: active.bundle.slice, engine: active.engine }),
    isContained: (device) => rowOf(stateOf(device)).contained,
    emit,
    tokens: createPageTokens(Buffer.alloc(32, 7)),
    ...changes,
  };
  return { ports, events, states, use: (one, digest) => void (active = compiled(one, digest)), taken: () => taken };
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Of an answer that is JSON; an empty object for any other. */
  readonly json: Readonly<Record<string, unknown>>;
}

export interface ServedPoint {
  readonly socket: string;
  readonly post: (path: string, body: unknown, headers?: Record<string, string | string[]>) => Promise<Reply>;
  readonly send: (method: string, path: string, body?: string | Uint8Array, headers?: object) => Promise<Reply>;
}

/** Served on a unix socket until the test ends; `tcp` with its token too. */
export async function servePoint(
  t: TestContext,
  { ports }: Pick<Point, 'ports'>,
  options: { asserts?: string[]; custom?: string[]; url?: string; tcp?: { address: string; token: string } } = {},
): Promise<ServedPoint> {
  const folder = mkdtempSync(join(tmpdir(), 'ew-authzen-'));
  const socket = join(folder, 'authzen.sock');
  const { asserts = [], custom = [], url, tcp } = options;
  const server = await serveAuthzen(
    ports,
    { asserts, custom, url, clock: systemClock },
    { socket, socketMode: 0o600, tcp },
  );
  t.after(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });
  const send: ServedPoint['send'] = (method, path, body, headers = {}) =>
    new Promise((resolve, reject) => {
      const outgoing = httpRequest(
        { socketPath: socket, method, path, headers: headers as Record<string, string> },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('error', reject);
          incoming.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            const isJson = incoming.headers['content-type'] === 'application/json';
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              text,
              json: isJson && text !== '' ? (JSON.parse(text) as Record<string, unknown>) : {},
            });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  const post: ServedPoint['post'] = (path, body, headers = {}) =>
    send('POST', path, Buffer.from(JSON.stringify(body)), { 'content-type': 'application/json', ...headers });
  return { socket, post, send };
}
