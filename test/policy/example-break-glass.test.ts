// The example repository with break-glass, as shipped: it has no problem, its tests pass, and its README's commands run.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sliceSchema } from '../../policy/bundle/index.ts';
import { Desk } from '../cli/site.ts';

const example = join(import.meta.dirname, '../../examples/policy-break-glass');
const desk = new Desk();
after(() => desk[Symbol.dispose]());

test('it has no problem, its tests pass, and one slice carries the profile', () => {
  assert.deepEqual(desk.json(['policy', 'lint', example]).document['problems'], []);
  assert.equal(desk.json(['policy', 'test', example]).document['passed'], 2);
  assert.equal(desk.run(['policy', 'build', example, '--out', 'slices']).code, 0);
  const read = (device: string) =>
    sliceSchema.parse(JSON.parse(readFileSync(join(desk.folder, `slices/${device}.json`), 'utf8')));
  assert.equal(read('hmi-1').breakGlass?.[0]?.maxMinutes, 30);
  assert.equal(read('gateway-1').breakGlass, undefined);
});

test('the commands of its README, up to the edge', () => {
  const readme = readFileSync(join(example, 'README.md'), 'utf8').replaceAll('\\\n', ' ');
  const commands = [
    ...readme.matchAll(/^ {4}edgeward (break-glass (?:key|request|approve) .*?)(?: {2,}on .*)?$/gm),
  ].map(([, line = '']) => [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? ''));
  assert.equal(commands.length, 4);
  assert.equal(desk.run(['break-glass', 'key', 'ben.pem']).code, 0);
  for (const args of commands) {
    const { code, stderr } = desk.run(args);
    assert.equal(code, 0, stderr);
  }
  const { document } = desk.json(['break-glass', 'show', 'stop.ticket']);
  assert.equal(document['approvals'], 2);
  assert.match(desk.run(['break-glass', 'show', 'stop.ticket']).stdout, /dora asks: gateway-1 may stop for 15 minutes/);
});

test('an approver is shown what is signed; nothing is overwritten; what no edge takes is not written', () => {
  const request = ['break-glass', 'request', '--trust-domain', 'plant.example', '--edge', 'hmi-1'].concat(
    ['--profile', 'stop-line', '--generation', '1', '--subject', 'gateway-1', '--operations', 'stop'],
    ['--minutes', '15', '--by', 'dora', '--out', 'a.request'],
  );
  assert.match(desk.run([...request, '--reason', 'short']).stderr, /BREAK_GLASS_MALFORMED/);
  assert.equal(desk.run([...request, '--reason', 'the line does not stop']).code, 0);
  assert.match(desk.run([...request, '--reason', 'the line does not stop']).stderr, /CLI_TARGET_EXISTS/);
  assert.equal(desk.run(['break-glass', 'key', 'cleo.pem']).code, 0);
  assert.match(
    desk.run(['break-glass', 'approve', 'a.request', '--key', 'cleo.pem', '--out', 'a.one']).stdout,
    /^signed: dora asks: .*\n.*\n.*\nbecause: the line does not stop\napproval 1, in a\.one\n$/,
  );
  desk.write('edge.yaml', 'run: /nonexistent\ncontrol: {address: "127.0.0.1:1"}\n');
  const { code, stderr } = desk.run(['break-glass', 'use', 'a.one', '--config', 'edge.yaml']);
  assert.deepEqual([code, /CLI_EDGE_UNREACHABLE/.test(stderr)], [3, true]);
});
