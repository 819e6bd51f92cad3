// A site from nothing, as the README's "Use it" tells it; what each command says on the way, right and wrong.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { edgewardProgram, Site } from './site.ts';

const site = new Site();
before(async () => void (await site.start()));
after(async () => {
  await site.stopControl();
  site[Symbol.dispose]();
});
const codeOf = (args: readonly string[], input = ''): [number | null, string] => {
  const { code, document } = site.json(args, input);
  return [code, (document['error'] as { code: string }).code];
};

test('an empty fleet says what to do', () => {
  assert.equal(site.must(['device', 'list']), 'no devices: publish a policy with an inventory\n');
  assert.match(site.must(['policy', 'status']), /^nothing is published\n/);
});

test('publish, token, enroll; a line is used once and never printed again', () => {
  site.publish();
  const line = site.must(['token', 'create', 'gateway-1']);
  assert.match(line, /^ew1\.[\w-]+\n$/);
  const enrolled = site.json(['enroll', '--state', 'gateway'], line);
  assert.equal(enrolled.document['spiffeId'], 'spiffe://plant.example/device/gateway-1');
  assert.equal(statSync(join(site.folder, 'gateway/identity/key.pem')).mode & 0o777, 0o600);
  assert.deepEqual(codeOf(['enroll', '--state', 'gateway'], line), [1, 'CA_IDENTITY_EXISTS']);
  assert.deepEqual(codeOf(['enroll', '--state', 'other'], line), [1, 'CA_TOKEN_USED']);
  const tokens = site.run(['token', 'list', '--json']).stdout;
  assert.match(tokens, /"state":"used"/);
  assert.doesNotMatch(tokens, /ew1\.|\$typeName/);
});

test('what is not there is an error, in a sentence', () => {
  assert.deepEqual(codeOf(['device', 'show', 'nope']), [1, 'CLI_NOT_FOUND']);
  assert.deepEqual(codeOf(['device', 'timeline', 'nope']), [1, 'CLI_NOT_FOUND']);
  assert.deepEqual(codeOf(['finding', 'show', 'nope']), [1, 'CLI_NOT_FOUND']);
  assert.deepEqual(codeOf(['token', 'create', 'nope']), [1, 'CA_DEVICE_UNKNOWN']);
  assert.deepEqual(codeOf(['device', 'list', '--control', '127.0.0.1:1']), [3, 'CLI_CONTROL_UNREACHABLE']);
});

test('bytes in a document are hexadecimal', () => {
  const { document } = site.json(['policy', 'status']);
  const [edge] = document['edges'] as { enforcedDigest: unknown }[];
  assert.equal(typeof edge?.enforcedDigest, 'string');
});

test('an operator credential: issued, refused where it may not, never written over, named when broken', () => {
  site.must(['operator', 'issue', 'vera', '--roles', 'viewer', '--out', 'vera']);
  assert.deepEqual(codeOf(['token', 'create', 'server-1', '--identity', 'vera']), [1, 'ACCESS_ROLE_MISSING']);
  assert.deepEqual(codeOf(['operator', 'issue', 'vera', '--roles', 'viewer', '--out', 'vera']), [
    1,
    'CLI_TARGET_EXISTS',
  ]);
  site.write('vera/key.pem', 'garbage');
  assert.deepEqual(codeOf(['device', 'list', '--identity', 'vera']), [1, 'CLI_CREDENTIAL_INVALID']);
});

test('the log: exported, checkpointed, verified; a changed line is found', () => {
  const { document } = site.json(['audit', 'checkpoint', '--out', 'held']);
  site.must(['audit', 'export', '--out', 'log.jsonl']);
  const verify = (file: string) =>
    site.run([
      'audit',
      'verify',
      file,
      '--checkpoint',
      'held',
      '--roots',
      `${site.admin}/roots.pem`,
      '--log-key',
      String(document['verifierKey']),
    ]);
  assert.equal(verify('log.jsonl').code, 0);
  const lines = readFileSync(join(site.folder, 'log.jsonl'), 'utf8').split('\n');
  const first = lines.findIndex((line) => line.startsWith('{"entry"'));
  site.write('cut.jsonl', lines.filter((_, index) => index !== first).join('\n'));
  assert.equal(verify('cut.jsonl').code, 1);
  assert.deepEqual(codeOf(['audit', 'export', '--out', 'nowhere/log.jsonl']), [1, 'CLI_FILE_FAILED']);
});

test('an export to a full disk ends and says so', (t) => {
  if (!requires(t, 'linux')) return;
  const { code, document } = site.json(['audit', 'export', '--out', '/dev/full']);
  const { error } = document as { error: { code: string; message: string } };
  assert.deepEqual([code, error.code, error.message], [1, 'CLI_FILE_FAILED', '/dev/full: the disk is full']);
});

test('whoever stops reading ends the command without a fault', async () => {
  const child = spawn(edgewardProgram, ['audit', 'query'], { cwd: site.folder, env: site.environment });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdout.destroy();
  const [code] = (await once(child, 'exit')) as [number];
  assert.deepEqual([code, stderr], [0, '']);
});

test('a second control plane on the same state is refused; stopped, a new credential is the way back in', async () => {
  assert.deepEqual(codeOf(['control', 'run', '--config', 'control.yaml']), [1, 'INSTANCE_RUNNING']);
  const again = ['control', 'credential', '--config', 'control.yaml', '--out', 'again'];
  assert.deepEqual(codeOf(again), [1, 'INSTANCE_RUNNING']);
  await site.stopControl();
  assert.deepEqual(codeOf(['device', 'list']), [3, 'CLI_CONTROL_UNREACHABLE']);
  assert.equal(site.json(again).code, 0);
  await site.startControl();
  assert.match(site.must(['device', 'list', '--identity', 'again']), /^DEVICE /);
});
