// Files with mistakes, as a person meets them at the command line: place, what was expected, what to do; exit code 1.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { run } from '../support/netns-process.ts';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'ewf-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function edgeward(args: readonly string[], passphrase = 'of this test') {
  const argv = [process.execPath, '--disallow-code-generation-from-strings', join(root, 'bin/edgeward.ts'), ...args];
  return await run(argv, { env: { EDGEWARD_PASSPHRASE: passphrase }, cwd: folder, timeoutMs: 60_000 });
}

function write(name: string, lines: readonly string[]): string {
  writeFileSync(join(folder, name), `${lines.join('\n')}\n`);
  return name;
}

const control = (...more: readonly string[]): string[] => [
  'trustDomain: plant.example',
  `state: ${join(folder, 'state')}`,
  'advertise: {enrolment: "127.0.0.1:7442", edges: "127.0.0.1:7443"}',
  ...more,
];

test('an unknown key in the configuration of the control plane or of an edge names line, column and what was meant', async () => {
  const files = [
    [
      'control',
      write('control-typo.yaml', control('databse: sqlite:///x')),
      'control-typo.yaml:4:1: unknown key "databse"; did you mean "database"?',
    ],
    [
      'edge',
      write('edge-typo.yaml', ['control: {address: "127.0.0.1:7443"}', 'firewall:', '  mod: off']),
      'edge-typo.yaml:3:3: unknown key "mod"',
    ],
  ] as const;
  for (const [program, file, expected] of files) {
    const { code, stderr } = await edgeward([program, 'run', '--check', '--config', file]);
    assert.equal(code, 1);
    assert.ok(stderr.includes(expected), stderr);
    assert.match(stderr, /code {3}CONFIG_INVALID\n {2}remedy \S/);
  }
});

test('a policy file with a typo: file, line, column, and what was expected', async () => {
  const policy = join(folder, 'policy');
  cpSync(join(root, 'examples/policy'), policy, { recursive: true });
  const file = join(policy, 'interfaces/hmi.yaml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    text.replace('methods: [GET]\n', 'methods: GET\n').replace('class: sensitive', 'class: sensitve'),
  );
  const place = (part: string): string => {
    const lines = readFileSync(file, 'utf8').split('\n');
    const line = lines.findIndex((candidate) => candidate.includes(part));
    return `interfaces/hmi.yaml:${line + 1}:${(lines[line]?.indexOf(part) ?? 0) + part.indexOf(':') + 3}`;
  };
  const { code, stdout } = await edgeward(['policy', 'lint', policy]);
  assert.equal(code, 1);
  const [list = '', word = ''] = stdout.split('\n').filter((line) => line.includes(' error '));
  assert.ok(list.startsWith(`${place('methods: GET')}: error POLICY_FORMAT: `), stdout);
  assert.match(list, /expected a list/);
  assert.ok(word.startsWith(`${place('class: sensitve')}: error POLICY_FORMAT: `), stdout);
  assert.match(word, /expected one of safety, normal, sensitive, found "sensitve"/);
});

test('a key file with another passphrase or an altered byte opens nothing, and init replaces nothing', async () => {
  const file = write('control.yaml', control());
  mkdirSync(join(folder, 'state'), { mode: 0o700 });
  assert.equal((await edgeward(['control', 'init', '--config', file])).code, 0);
  const again = await edgeward(['control', 'init', '--config', file]);
  assert.match(again.stderr, /CA_AUTHORITY_EXISTS/);
  const other = await edgeward(['control', 'run', '--config', file], 'another');
  assert.equal(other.code, 1);
  assert.match(other.stderr, /keys\.sealed: wrong passphrase, or the file was altered\n {2}code {3}SEALED_FILE_LOCKED/);
  const keys = join(folder, 'state/keys.sealed');
  const bytes = readFileSync(keys);
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1;
  writeFileSync(keys, bytes);
  assert.match((await edgeward(['control', 'run', '--config', file])).stderr, /SEALED_FILE_LOCKED/);
});

test('an edge without an identity says what to do first', async () => {
  const lines = [
    `state: ${join(folder, 'nobody')}`,
    `run: ${join(folder, 'run')}`,
    'control: {address: "127.0.0.1:7443"}',
    'firewall: {mode: off}',
  ];
  const { code, stderr } = await edgeward(['edge', 'run', '--config', write('edge.yaml', lines)]);
  assert.equal(code, 1);
  assert.match(stderr, /code {3}CA_IDENTITY_ABSENT\n {2}remedy Run `edgeward enroll`/);
});
