// The example repository with packet rules, as shipped, and importing threat feeds as its README says.
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { requiredFeatures, sliceSchema, type Slice } from '../../policy/bundle/index.ts';
import { Desk } from '../cli/site.ts';

const example = join(import.meta.dirname, '../../examples/policy-firewall');
const desk = new Desk();
after(() => desk[Symbol.dispose]());
const slice = (device: string): Slice =>
  sliceSchema.parse(JSON.parse(readFileSync(join(desk.folder, `slices/${device}.json`), 'utf8')));

test('it has no problem, its test passes, and every device gets what it needs and requires', () => {
  assert.deepEqual(desk.json(['policy', 'lint', example]).document['problems'], []);
  assert.equal(desk.json(['policy', 'test', example]).document['passed'], 1);
  assert.equal(desk.run(['policy', 'build', example, '--out', 'slices']).code, 0);
  const [gateway, plc] = [slice('gateway-1'), slice('plc-1')];
  assert.deepEqual(
    gateway.firewall.map(({ id }) => id),
    ['drop-list', 'not-yet', 'ntp-through', 'office-decides-by-grant', 'updates'],
  );
  assert.deepEqual(
    gateway.workloads?.map(({ name }) => name),
    ['historian', 'updater', 'camera-ai'],
  );
  assert.deepEqual([plc.workloads, gateway.traps], [undefined, undefined]);
  assert.deepEqual([plc.traps?.length, plc.meters?.length, plc.island?.leaseSeconds], [1, 1, 28_800]);
  // Only on the subject's device the grant is one workload's.
  assert.deepEqual([gateway.grants[0]?.workload, plc.grants[0]?.workload], ['historian', undefined]);
  const dropped = gateway.firewall.find(({ id }) => id === 'drop-list');
  assert.deepEqual(dropped?.peers, ['192.0.2.0/24', '203.0.113.0/25', '203.0.113.128/26', '2001:db8:bad::/48']);
  // The earlier of the two dates, through that day.
  assert.equal(dropped?.until, Date.UTC(2099, 6, 1));
  const known = ['firewall-calendar', 'firewall-limits', 'firewall-tiers', 'island-lease', 'meters', 'modbus', 'traps'];
  assert.deepEqual(requiredFeatures(plc), known);
  assert.ok(
    ['firewall-names', 'firewall-through', 'workloads'].every((name) =>
      requiredFeatures(gateway).includes(name as never),
    ),
  );
});

test('every key that a rule may have is in it', () => {
  const text = readFileSync(join(example, 'firewall/site.yaml'), 'utf8');
  const keys =
    'id tier action priority devices direction transport peer peers names feed expires to ports observe workload rate flows per burst connections conditions timeWindow weekdays notBefore until block flowsPerSecond lease';
  for (const key of keys.split(' ')) assert.match(text, new RegExp(`[ {]${key}: `), key);
});

test('a list is imported sorted and merged; one with refused lines only without them', () => {
  cpSync(example, join(desk.folder, 'policy'), { recursive: true });
  const written = (): string => readFileSync(join(desk.folder, 'policy/feeds/drop.netset'), 'utf8');
  desk.write(
    'list.txt',
    '; from somewhere\n203.0.113.128/25 ; SBL2\n203.0.113.0/25 ; SBL1\n192.0.2.7 # once\n192.0.2.7\n',
  );
  const feed = ['policy', 'feed', 'import', 'list.txt', '--name', 'drop', '--dir', 'policy'];
  assert.equal(desk.json(feed).document['blocks'], 2);
  assert.equal(written(), '# drop: 2 address blocks\n192.0.2.7/32\n203.0.113.0/24\n');
  assert.deepEqual(desk.json(['policy', 'lint', 'policy']).document['problems'], []);

  desk.write('list.txt', '0.0.0.0/0\n10.77.0.12\n203.0.113.0/24\n<html>\n198.51.100.0/24\n10.77.0.0/25\n127.0.0.0/8\n');
  const refused = desk.run(feed);
  assert.equal(refused.code, 1);
  for (const line of [1, 2, 4, 5, 6, 7]) assert.match(refused.stderr, new RegExp(`list\\.txt:${line}: `));
  assert.doesNotMatch(refused.stderr, /list\.txt:3:/);
  assert.match(refused.stderr, /--skip-refused/);
  assert.equal(written(), '# drop: 2 address blocks\n192.0.2.7/32\n203.0.113.0/24\n', 'nothing is written');
  const skipped = desk.json([...feed, '--skip-refused']).document;
  assert.equal((skipped['leftOut'] as object[]).length, 6);
  assert.equal(written(), '# drop: 1 address blocks\n203.0.113.0/24\n');
  assert.deepEqual(desk.json(['policy', 'lint', 'policy']).document['problems'], []);
});

test('a list that is empty, of garbage only, too long or not there is refused also without its lines', () => {
  const feed = ['policy', 'feed', 'import', 'bad.txt', '--name', 'drop', '--dir', example, '--skip-refused'];
  assert.match(desk.run(feed).stderr, /CLI_FILE_FAILED/);
  for (const text of [
    '',
    '# nothing\n',
    '<html>\n</html>\n',
    '192.0.2.0/24\n'.repeat(250_001),
    'x'.repeat(5_000_000),
  ]) {
    desk.write('bad.txt', text);
    const { code, stderr } = desk.run(feed);
    assert.deepEqual([code, stderr.includes('CLI_CHECK_FAILED')], [1, true], stderr);
  }
  assert.match(desk.run([...feed.slice(0, 5), 'No Name', ...feed.slice(6)]).stderr, /CLI_USAGE/);
});
