// h2spec, a foreign conformance program (RFC 7540, RFC 7541 and generic cases), against our connections. It asks GET / and POST /
// and expects an answer with a body, so here every well-formed request is a call; the rules of gRPC have their own tests. It
// acknowledges SETTINGS_HEADER_TABLE_SIZE 0 and goes on with a table of 4096, which RFC 9113 section 4.3.1 makes an error,
// so here the table is 4096.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../runtime/clock.ts';
import { Connection } from '../../runtime/h2/connection.ts';
import { newCounters } from '../../runtime/h2/counters.ts';
import { SpareBatches } from '../../runtime/h2/frame-writer.ts';
import { defaultLimits } from '../../runtime/h2/limits.ts';
import { requires } from '../support/capabilities.ts';
import { findH2spec } from '../support/h2spec.ts';

test('every case of h2spec passes, the strict ones too', { timeout: 120_000 }, async (t) => {
  if (!requires(t, 'h2spec')) return;
  const faults: unknown[] = [];
  const ports = {
    // Not at once: the cases about streams that are half closed need one.
    methods: new Map([['/', () => delay(20, Buffer.alloc(64))]]),
    streams: new Map(),
    maxMessageBytes: defaultLimits.maxMessageBytes,
    clock: systemClock,
    onFault: (error: unknown) => faults.push(error),
    limits: { ...defaultLimits, maxConcurrentStreams: 100, headerTableBytes: 4096 },
    rules: {
      refusal: () => undefined,
      message: (source: Buffer, start: number, end: number) => ({ message: source.subarray(start, end) }),
    },
    counters: newCounters(),
    spare: new SpareBatches(),
  };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    return new Connection(socket, ports);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const folder = mkdtempSync(join(tmpdir(), 'ew-h2spec-'));
  t.after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  const report = join(folder, 'report.xml');
  const { port } = server.address() as AddressInfo;
  const args = ['--strict', '--timeout', '2', '--host', '127.0.0.1', '--port', String(port), '--junit-report', report];
  const h2spec = spawn(findH2spec() ?? '', args, { stdio: 'ignore' });
  await once(h2spec, 'close');
  const text = readFileSync(report, 'utf8');
  const cases = [
    ...text.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g),
  ];
  const wrong = cases.filter(([, , , inside = '']) => /<(failure|error|skipped)/.test(inside));
  assert.deepEqual(
    wrong.map(([, section, what]) => `${section}: ${what}`),
    [],
  );
  // A report that is cut, or a version with other cases, proves nothing.
  assert.equal(cases.length, 146);
  assert.equal(h2spec.exitCode, 0);
  assert.deepEqual(faults, []);
});
