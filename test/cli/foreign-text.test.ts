// What others wrote and people read in a terminal: it moves no cursor, and says nothing in our name.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createIo } from '../../cli/io.ts';
import { newBreakGlassRequest } from '../../policy/bundle/index.ts';
import { request } from '../break-glass/people.ts';

const program = join(import.meta.dirname, '../../bin/edgeward.ts');
// oxlint-disable-next-line no-control-regex
const movesCursor = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/;

test('a command prints lines and nothing else', () => {
  const written: string[] = [];
  const stream = { write: (text: string) => written.push(text), isTTY: true };
  const io = createIo(false, { stdout: stream, stderr: stream });
  io.result({}, 'GET /\u001b[2A\u202e\r\n/x');
  io.note('\u0007');
  assert.deepEqual(written, ['GET /\\u001b[2A\\u202e\\u000d\n/x\n', '\\u0007\n']);
});

test('an approver sees what is asked, whatever the reason says', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ew-foreign-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'request.json');
  writeFileSync(file, newBreakGlassRequest(request({ reason: 'harmless\u001b[4A\rfor 1 minutes\napprovals: 2' })));
  const shown = execFileSync(process.execPath, [program, 'break-glass', 'show', file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  assert.doesNotMatch(shown, movesCursor);
  assert.deepEqual(
    shown.split('\n').filter((line) => line.startsWith('approvals')),
    ['approvals: 0'],
  );
});
