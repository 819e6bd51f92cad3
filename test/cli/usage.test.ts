// Commands without a control plane: exit codes, one JSON document, errors that say what, where and what to do.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Command } from 'commander';
import { createProgram } from '../../cli/program.ts';
import { Desk } from './site.ts';

const desk = new Desk();
after(() => desk[Symbol.dispose]());
desk.write('bad.yaml', 'trustDomain: plant.example\nadvertise: {enrolment: "a:1", edges: "a:2"}\ndiagnostcs: 1\n');

const leaves = (command: Command, line: readonly string[] = []): string[][] =>
  command.commands.length === 0
    ? [[...line]]
    : command.commands.flatMap((child) => leaves(child, [...line, child.name()]));

test('every command describes itself and takes --json', () => {
  const exempt = new Set(['completion']);
  for (const line of leaves(createProgram())) {
    let command = createProgram();
    for (const name of line) command = command.commands.find((child) => child.name() === name) ?? command;
    assert.ok(command.description().length > 10, line.join(' '));
    if (!exempt.has(line[0] ?? ''))
      assert.ok(
        command.options.some((option) => option.long === '--json'),
        line.join(' '),
      );
  }
});

/** Command line, exit code, code of the error. */
const refusals: readonly (readonly [string, number, string])[] = [
  ['bogus', 2, 'CLI_USAGE'],
  ['device', 2, 'CLI_USAGE'],
  ['device list --nope', 2, 'CLI_USAGE'],
  ['token create', 2, 'CLI_USAGE'],
  ['token create plc-1 --ttl soon', 2, 'CLI_USAGE'],
  ['audit query --since yesterday', 2, 'CLI_USAGE'],
  ['audit query --limit 1001', 2, 'CLI_USAGE'],
  ['finding list --state maybe', 2, 'CLI_USAGE'],
  ['device quarantine plc-1', 2, 'CLI_USAGE'],
  ['device list', 1, 'CLI_NO_CREDENTIAL'],
  ['policy lint nowhere', 1, 'CLI_FILE_FAILED'],
  ['policy test nowhere', 1, 'CLI_FILE_FAILED'],
  ['policy test nowhere --min-coverage 101', 2, 'CLI_USAGE'],
  ['policy unused nowhere', 2, 'CLI_USAGE'],
  ['policy unused nowhere --since soon', 2, 'CLI_USAGE'],
  ['policy explain nowhere', 2, 'CLI_USAGE'],
  ['policy explain nowhere --subject a --interface b --state happy', 2, 'CLI_USAGE'],
  ['policy who-can nowhere --interface b --at noon', 2, 'CLI_USAGE'],
  ['firewall can a b 99999 --repository nowhere', 2, 'CLI_USAGE'],
  ['firewall can a b 80', 2, 'CLI_USAGE'],
  ['firewall can a b --repository nowhere', 2, 'CLI_USAGE'],
  ['firewall can a b 80 --repository nowhere', 1, 'CLI_FILE_FAILED'],
  ['firewall plan nowhere --device a --state a=happy', 2, 'CLI_USAGE'],
  ['firewall show --config nowhere.yaml', 1, 'CONFIG_UNREADABLE'],
  ['policy lint', 2, 'CLI_USAGE'],
  ['policy lint --explain NO_SUCH_RULE', 2, 'CLI_USAGE'],
  ['policy lint policy --explain POLICY_CIDR', 2, 'CLI_USAGE'],
  ['policy lint policy --sarif', 2, 'CLI_USAGE'],
  ['publisher create nowhere/key.pem', 1, 'CLI_FILE_FAILED'],
  ['control run --config nowhere.yaml', 1, 'CONFIG_UNREADABLE'],
  ['control run --check --config bad.yaml', 1, 'CONFIG_INVALID'],
  ['enroll --state enrolled', 1, 'CLI_INPUT_MISSING'],
  ['enroll --state enrolled --token-file nowhere', 1, 'CLI_FILE_FAILED'],
  ['enroll --state enrolled --token-file bad.yaml', 1, 'CA_JOIN_LINE_INVALID'],
];

for (const [line, code, error] of refusals) {
  test(`edgeward ${line}: ${code}, ${error}`, () => {
    const args = line.split(' ');
    const { code: withJson, document } = desk.json(args);
    const told = document['error'] as Record<string, string>;
    assert.deepEqual([withJson, document['ok'], told['code']], [code, false, error]);
    assert.ok(told['message'] !== '' && told['remedy'] !== '');
  });
}

test('for people the same errors go to standard error, without a stack', () => {
  for (const [line, code] of [0, 4, 10].flatMap((index) => refusals.slice(index, index + 1))) {
    const plain = desk.run(line.split(' '));
    assert.deepEqual([plain.code, plain.stdout], [code, '']);
    assert.doesNotMatch(plain.stderr, /^\s+at .*:\d+:\d+/m);
  }
});

test('a typo in a configuration is told with its place and what was meant', () => {
  assert.equal(
    desk.run(['control', 'run', '--config', 'bad.yaml']).stderr,
    'error: bad.yaml:3:1: unknown key "diagnostcs"; did you mean "diagnostics"?\n' +
      '  code   CONFIG_INVALID\n  remedy Correct the file at the place named and try again\n',
  );
});

test('control init without a passphrase makes nothing', () => {
  using bare = new Desk();
  delete bare.environment['EDGEWARD_PASSPHRASE'];
  bare.write(
    'control.yaml',
    `trustDomain: plant.example\nstate: ${bare.folder}/state\nadvertise: {enrolment: "a:1", edges: "a:2"}\n`,
  );
  assert.equal(bare.json(['control', 'init', '--config', 'control.yaml']).code, 1);
  assert.equal(bare.run(['policy', 'lint', 'state']).stderr.split('\n')[0], 'error: state: no such file or directory');
});

test('--version and --help go to standard output and end with 0', () => {
  assert.match(desk.run(['--version']).stdout, /^\d+\.\d+\.\d+\n$/);
  assert.match(desk.run(['device', 'list', '--help']).stdout, /^Usage: edgeward device list/);
});
