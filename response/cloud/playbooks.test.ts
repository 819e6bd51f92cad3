import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CodedError } from '../../runtime/errors.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { migrate } from '../../store/migrations.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { parsePlaybook } from '../playbook.ts';
import { createDevices } from './devices.ts';
import { responseMigrations } from './migrations.ts';
import { createPlaybooks, type FindingSignal, type PlaybookPorts } from './playbooks.ts';

const text = readFileSync(join(import.meta.dirname, '../../examples/policy/playbooks/quarantine.json'), 'utf8');

test('the example playbook is read: trigger and actions in order', () => {
  const playbook = parsePlaybook(text, 'quarantine.json');
  assert.deepEqual(playbook.actions, ['contain', 'notify']);
  assert.deepEqual(playbook.levels, ['high', 'critical']);
});

test('a playbook that is not executed as written is refused with its file', () => {
  const variants = [
    text.replace('contain device', 'reboot device'),
    text.replace('"cacao-2.0"', '"cacao-1.1"'),
    text.replace('"on_completion": "end--', '"on_completion": "nowhere--'),
    text.replace('"levels": ["high", "critical"]', '"levels": []'),
    text.replace('"type": "end"', '"type": "parallel"'),
    `${text}]`,
    // A loop never ends.
    text.replace(
      'end--0b6f6c4e-2a4b-4a53-9a4e-7a1a5a3f0c24"\n    },',
      'action--0b6f6c4e-2a4b-4a53-9a4e-7a1a5a3f0c22"\n    },',
    ),
  ];
  for (const variant of variants) {
    assert.notEqual(variant, text);
    assert.throws(
      () => parsePlaybook(variant, 'bad.json'),
      (error) =>
        error instanceof CodedError && error.code === 'RESPONSE_PLAYBOOK_INVALID' && error.place?.file === 'bad.json',
    );
  }
});

forEachDatabase((name, open) => {
  async function openPlaybooks(
    options: {
      fleet?: number;
      safety?: boolean;
      others?: FindingSignal[];
      on?: (device: string) => FindingSignal[];
    } = {},
  ) {
    const db = await open();
    await migrate(db, 'response', responseMigrations);
    const clock = new FakeClock(1_800_000_000_000);
    const refusals: string[] = [];
    const ids = Array.from({ length: options.fleet ?? 3 }, (_, n) => `device-${n}`);
    const emit: PlaybookPorts['emit'] = (event) =>
      Promise.resolve(void (event.activity === 'refuse' && refusals.push(String(event.data['message']))));
    const devices = createDevices({
      db,
      trustDomain: 'plant.example',
      clock,
      sign: () => Promise.resolve('jws'),
      emit,
      changed: () => undefined,
      inInventory: (id) => Promise.resolve(ids.includes(id)),
      openFindings: () => Promise.resolve(0),
    });
    for (const deviceId of ids) await devices.apply({ deviceId, event: 'enrolled', cause: 'test', by: 'test' });
    const playbooks = createPlaybooks({
      db,
      trustDomain: 'plant.example',
      clock,
      devices,
      playbooks: () => [parsePlaybook(text, 'quarantine.json')],
      inventory: () => Promise.resolve(ids.map((id) => ({ id, labels: { safety: String(options.safety ?? false) } }))),
      findingsOn: (device) => Promise.resolve(options.on?.(device) ?? options.others ?? []),
      emit,
    });
    return { db, devices, playbooks, refusals, clock };
  }
  const finding = (device: string, changes: Partial<FindingSignal> = {}): FindingSignal => ({
    id: `f-${device}`,
    ruleId: 'refused-plc-write',
    title: 'Refused write',
    level: 'critical',
    device,
    reporter: 'device-9',
    foundAt: 1_800_000_000_000,
    retro: false,
    attributed: true,
    ...changes,
  });

  test(`${name}: a critical finding contains the device once, however often it is judged`, async () => {
    const given = await openPlaybooks();
    await given.playbooks.onFinding(finding('device-0'));
    await given.playbooks.onFinding(finding('device-0'));
    assert.equal((await given.devices.get('device-0'))?.state, 'quarantined');
    assert.equal((await given.devices.ordersSince(0)).orders.length, 1);
    assert.deepEqual(
      (await given.playbooks.list()).map((row) => [row.state, row.order_sequence]),
      [['done', 1]],
    );
    await given.db.close();
  });

  test(`${name}: what must not start a live response does not`, async () => {
    const given = await openPlaybooks();
    await given.playbooks.onFinding(finding('device-0', { level: 'low' }));
    await given.playbooks.onFinding(finding('device-1', { retro: true }));
    await given.playbooks.onFinding(finding('stranger'));
    await given.playbooks.onFinding(finding('device-2', { attributed: false }));
    assert.deepEqual(
      (await given.devices.list()).map((device) => device.state),
      ['enrolled', 'enrolled', 'enrolled'],
    );
    assert.equal(given.refusals.length, 3);
    await given.db.close();
  });

  test(`${name}: playbooks contain no more than their share of the fleet`, async () => {
    const given = await openPlaybooks({ fleet: 9 });
    for (let n = 0; n < 9; n++) await given.playbooks.onFinding(finding(`device-${n}`));
    const contained = (await given.devices.list()).filter((device) => device.state === 'quarantined');
    assert.equal(contained.length, 3);
    assert.equal(given.refusals.length, 6);
    await given.db.close();
  });

  test(`${name}: one reporter alone has no more than three devices contained, others and accused go on`, async () => {
    const given = await openPlaybooks({ fleet: 60, on: (device) => [finding(device)] });
    for (let n = 0; n < 6; n++) await given.playbooks.onFinding(finding(`device-${n + 10}`));
    const contained = async (): Promise<number> =>
      (await given.devices.list()).filter((device) => device.state === 'quarantined').length;
    assert.equal(await contained(), 3);
    assert.match(given.refusals[0] ?? '', /device-9 alone/);
    await given.playbooks.onFinding(finding('device-20', { reporter: 'device-8' }));
    await given.playbooks.onFinding(finding('device-9'));
    assert.equal(await contained(), 5);
    await given.db.close();
  });

  test(`${name}: a safety device needs a second rule and a second reporter`, async () => {
    const alone = await openPlaybooks({ safety: true });
    await alone.playbooks.onFinding(finding('device-0'));
    assert.equal((await alone.devices.get('device-0'))?.state, 'enrolled');
    await alone.db.close();
    const sameReporter = await openPlaybooks({ safety: true, others: [finding('device-0', { ruleId: 'port-scan' })] });
    await sameReporter.playbooks.onFinding(finding('device-0'));
    assert.equal((await sameReporter.devices.get('device-0'))?.state, 'enrolled');
    await sameReporter.db.close();
    for (const weak of [{ attributed: false }, { retro: true }]) {
      const other = finding('device-0', { ruleId: 'port-scan', reporter: 'device-8', ...weak });
      const weakly = await openPlaybooks({ safety: true, others: [other] });
      await weakly.playbooks.onFinding(finding('device-0'));
      assert.equal((await weakly.devices.get('device-0'))?.state, 'enrolled', Object.keys(weak).join());
      await weakly.db.close();
    }
    const two = await openPlaybooks({
      safety: true,
      others: [finding('device-0', { ruleId: 'port-scan', reporter: 'device-8' })],
    });
    await two.playbooks.onFinding(finding('device-0'));
    assert.equal((await two.devices.get('device-0'))?.state, 'quarantined');
    await two.db.close();
  });
});
