// What applying refuses and survives, with programs and disk as arguments. Loading into a real kernel: test/firewall.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { readGolden } from '../../test/firewall/golden.ts';
import { createFirewall } from './firewall.ts';
import type { Firewall } from './firewall.ts';
import type { ControlEndpoint, FirewallPlan } from './plan.ts';
import type { FlowAccess, FlowTarget } from './flows/index.ts';
import type { CommandResult } from './run.ts';

const { plan } = readGolden('plc-cell.txt');
const lockdown = readGolden('lockdown.txt').plan;
const listing = readFileSync(join(import.meta.dirname, 'testdata', 'plc-cell.listing'), 'utf8');
const ok = (stdout = ''): CommandResult => ({ code: 0, stdout, stderr: '' });

interface Bench {
  readonly firewall: Firewall;
  readonly commands: string[];
  readonly inputs: string[];
  readonly events: NewEvent[];
  readonly files: SimulatedFiles;
  readonly closed: string[];
  readonly ended: FlowTarget[];
}

/** Another plan of the same device, which needs a proof that the control plane is still reached. */
const withOtherNeighbours: FirewallPlan = {
  ...plan,
  epoch: 8,
  generation: {
    ...plan.generation,
    sets: plan.generation.sets.map((set) =>
      set.name === 'inventory4' ? { ...set, elements: set.elements.slice(1) } : set,
    ),
  },
};

/** What the trusted clock says, which is not what the host's does. */
const trustedNow = plan.compiledAt;

/** A kernel that takes everything and lists the recorded plan, unless `answer` says otherwise. */
async function bench(
  answer: (command: string, input: string) => CommandResult | undefined = () => undefined,
  control: readonly ControlEndpoint[] | (() => readonly ControlEndpoint[]) = plan.control,
  files = new SimulatedFiles(),
  flows: Partial<FlowAccess> = {},
): Promise<Bench> {
  const commands: string[] = [];
  const inputs: string[] = [];
  const events: NewEvent[] = [];
  const closed: string[] = [];
  const ended: FlowTarget[] = [];
  await files.mkdir('/state');
  const firewall = createFirewall({
    run: async (argv, input = '') => {
      const command = argv.join(' ');
      commands.push(command);
      if (input !== '') inputs.push(input);
      return answer(command, input) ?? ok(command.startsWith('nft -j') ? listing : '');
    },
    fs: files,
    directory: '/state',
    clock: new FakeClock(plan.compiledAt),
    log: createLogger({ name: 'test', level: 'silent' }),
    emit: async (event) => void events.push(event),
    control: typeof control === 'function' ? control : () => control,
    closeStreams: (device) => closed.push(device),
    trustedNow: () => trustedNow,
    flows: {
      end: async (target) => {
        ended.push(target);
        return { flows: 12, sockets: 3, failures: [] };
      },
      seen: async (set, addresses) =>
        addresses
          .slice(0, 1)
          .map((address) => ({ address, agoMs: set === 'seen_from4' ? 40 : 70, packets: 5, bytes: 500 })),
      ...flows,
    },
  });
  return { firewall, commands, inputs, events, files, closed, ended };
}

test('a plan that would cut the control plane is refused before anything is touched', async () => {
  const elsewhere: ControlEndpoint = { address: '10.99.0.1', port: 8443, transport: 'tcp' };
  const { firewall, commands } = await bench(undefined, [elsewhere]);
  await assert.rejects(firewall.apply(plan), {
    code: 'FIREWALL_CUTS_CONTROL_PLANE',
    message: /10\.99\.0\.1 port 8443: its request ends at default-out \(output rule \d+, .*g1_output rule \d+\)/,
  });
  assert.deepEqual(commands, []);
});

test('refusals of nft become codes that say what to do, and the plan is not taken for applied', async () => {
  const refusals: [CommandResult, object][] = [
    [{ code: 127, stdout: '', stderr: 'spawn nft ENOENT' }, { code: 'FIREWALL_NO_NFT' }],
    // Ended by the time limit: the kernel may have the rules.
    [{ code: -1, stdout: '', stderr: 'Command failed: nft -f -' }, { code: 'FIREWALL_NO_ANSWER' }],
    [
      { code: 1, stdout: '', stderr: 'Error: Operation not permitted (you must be root)' },
      { code: 'FIREWALL_PERMISSION' },
    ],
    [
      { code: 1, stdout: '', stderr: '/dev/stdin:3:1-4: Error: no such thing\ntable inet\n^^^^' },
      { code: 'FIREWALL_KERNEL_REFUSED', message: /3:1-4: Error: no such thing; line: table inet edgeward \{/ },
    ],
  ];
  for (const [result, expected] of refusals) {
    const { firewall, files } = await bench((command) => (command === 'nft -f -' ? result : undefined));
    await assert.rejects(firewall.apply(plan), expected);
    assert.equal(firewall.current(), undefined);
    assert.equal(await files.stat('/state/firewall.json'), undefined);
  }
});

test('a kernel that holds something else than what was loaded is noticed, and the rules of before come back', async () => {
  let tampered = false;
  const { firewall, inputs } = await bench((command) =>
    tampered && command.startsWith('nft -j') ? ok(listing.replace('{"drop": null}', '{"accept": null}')) : undefined,
  );
  await firewall.apply(plan);
  tampered = true;
  await assert.rejects(firewall.apply(withOtherNeighbours), { code: 'FIREWALL_DRIFT' });
  assert.equal(firewall.current()?.epoch, 7);
  assert.match(inputs.at(-1) ?? '', /^table inet edgeward\ndelete table inet edgeward\n[^]*g1_inventory4/);
  assert.doesNotMatch(inputs.at(-1) ?? '', /g2_/);
});

test('a listing that misses an element once is read again; one that always does is believed', async () => {
  const lacking = listing.replace('{"concat": ["10.20.0.1", 6, 8443]}', '');
  assert.notEqual(lacking, listing);
  let misses = 1;
  const answer = (command: string): CommandResult | undefined =>
    command.startsWith('nft -j') && misses-- > 0 ? ok(lacking) : undefined;
  const once = await bench(answer);
  await once.firewall.apply(plan);
  assert.equal(once.firewall.current()?.epoch, plan.epoch);
  misses = Number.POSITIVE_INFINITY;
  const always = await bench(answer);
  await assert.rejects(always.firewall.apply(plan), { code: 'FIREWALL_DRIFT', message: /control4 lacks/ });
});

test('the last good plan survives a power cut and is restored before any network', async () => {
  const before = await bench();
  await before.firewall.apply(plan);
  const files = before.files.restart();
  const { firewall } = await bench(undefined, plan.control, files);
  assert.equal(await firewall.restore(lockdown), 'last-good');
  assert.deepEqual(firewall.current(), plan);
  // What the process before used and did not save is not used again.
  const next = firewall.nextEpoch();
  assert.ok(next > plan.compiledAt / 1_000 && next > plan.epoch);
  assert.ok(firewall.nextEpoch() > next);
});

test('where the control plane is may become known later: from then on every plan has to reach it, and what is in force is still repaired', async () => {
  let control: readonly ControlEndpoint[] = [];
  let there = true;
  const { firewall, inputs } = await bench(
    (command) =>
      command.startsWith('nft -j') && !there ? { code: 1, stdout: '', stderr: 'No such file or directory' } : undefined,
    () => control,
  );
  await firewall.apply(plan);
  control = [{ address: '10.99.0.1', port: 8443, transport: 'tcp' }];
  await assert.rejects(firewall.apply({ ...plan, epoch: 8 }), { code: 'FIREWALL_CUTS_CONTROL_PLANE' });
  const loads = inputs.length;
  there = false;
  // The plan is loaded again before it is found that this kernel lists nothing.
  await assert.rejects(firewall.repair(), { code: 'FIREWALL_DRIFT' });
  assert.match(inputs[loads] ?? '', /g1_epoch_plain \{[^}]*0x7,/);
});

test('a saved plan that the kernel refuses gives way to lock-down, and it is an event', async () => {
  const before = await bench();
  await before.firewall.apply(plan);
  const { firewall, inputs, events } = await bench(
    (command, input) => {
      if (command === 'nft -f -')
        return /g1_epoch_plain \{[^}]*0x7,/.test(input) ? { code: 1, stdout: '', stderr: 'Error: no such type' } : ok();
      return command.startsWith('nft -j') ? ok('{"nftables": []}') : undefined;
    },
    plan.control,
    before.files.restart(),
  );
  // The recorded listing is not the lockdown's; that it was loaded is what counts here.
  await assert.rejects(firewall.restore(lockdown), { code: 'FIREWALL_DRIFT' });
  assert.equal(inputs.length, 2);
  assert.match(inputs[1] ?? '', /g1_epoch_plain \{[^}]*0x1,/);
  assert.deepEqual(
    events.map((event) => [event.activity, event.data['code']]),
    [['refuse', 'FIREWALL_KERNEL_REFUSED']],
  );
});

const damaged: [string, (saved: FirewallPlan) => string][] = [
  ['cut short', (saved) => JSON.stringify(saved).slice(0, 500)],
  [
    'with text that would become a rule',
    (saved) =>
      JSON.stringify({
        live: { ...saved, generation: { sets: [], chains: [{ name: 'a } chain b {', rules: [] }] } },
        closing: [],
      }),
  ],
  ['of another format', (saved) => JSON.stringify({ live: { ...saved, format: 3 }, closing: [] })],
];
for (const [what, damage] of damaged) {
  test(`a saved plan ${what} is refused: only the control plane stays reachable, and it is an event`, async () => {
    const files = new SimulatedFiles();
    await files.mkdir('/state');
    const file = await files.open('/state/firewall.json', 'create');
    await file.append(Buffer.from(damage(plan)));
    await file.close();
    const refusing = await bench(
      (command) => (command.startsWith('nft -j') ? ok('{"nftables": []}') : undefined),
      plan.control,
      files,
    );
    // The recorded listing is not the lockdown's; that it was loaded is what counts here.
    await assert.rejects(refusing.firewall.restore(lockdown), { code: 'FIREWALL_DRIFT' });
    assert.match(refusing.inputs[0] ?? '', /g1_epoch_plain \{[^}]*0x1,/);
    assert.deepEqual(
      refusing.events.map((event) => [event.activity, event.data['code']]),
      [['refuse', 'FIREWALL_SAVED_PLAN']],
    );
  });
}

test('an order is one small transaction, closes the streams, ends the flows and is kept on disk', async () => {
  const { firewall, inputs, commands, closed, ended, files } = await bench();
  await firewall.apply(plan);
  inputs.length = 0;
  commands.length = 0;
  const elapsed = await firewall.contain({ device: 'gateway-1', containment: 'revoked', sequence: 9 });
  assert.equal(typeof elapsed, 'number');
  assert.deepEqual(inputs, [
    'add element inet edgeward revoked4 { 10.20.0.3, 10.30.0.3 }\n' +
      'add element inet edgeward revoked6 { fd20::3 }\n' +
      'add element inet edgeward revoked_mac { 02:00:00:00:00:03, 02:00:00:00:01:03 }\n',
  ]);
  assert.deepEqual(commands, ['nft -f -']);
  const addresses = [
    { family: 4, text: '10.20.0.3' },
    { family: 4, text: '10.30.0.3' },
    { family: 6, text: 'fd20::3' },
  ];
  assert.deepEqual(ended, [{ addresses, sparedPorts: [] }]);
  assert.deepEqual(closed, ['gateway-1']);
  const disk = files.restart();
  const saved = JSON.parse((await disk.readFile('/state/firewall.json', 1e7)).toString()) as { live: FirewallPlan };
  assert.equal(saved.live.base.find((set) => set.name === 'revoked4')?.elements.length, 2);
});

test('its receipt says when the kernel had the cut, when packets passed last, and what ended', async () => {
  const { firewall, events } = await bench();
  await firewall.apply(plan);
  await firewall.contain({ device: 'gateway-1', containment: 'revoked', sequence: 9, streams: 2 });
  assert.deepEqual(events.at(-1), {
    kind: 'firewall',
    activity: 'contain',
    severity: 'high',
    data: {
      device: 'gateway-1',
      state: 'revoked',
      sequence: 9,
      addresses: ['10.20.0.3', '10.30.0.3', 'fd20::3'],
      cut_ms: trustedNow,
      elapsed_us: 0,
      // The latest of all addresses.
      last_from_ms: trustedNow - 40,
      last_to_ms: trustedNow - 70,
      resolution_ms: 10,
      since_ms: trustedNow,
      flows: 12,
      sockets: 3,
      // Those closed before the order, and one found after the cut.
      streams: 3,
    },
  });
});

test('what is not known is not in the receipt: nothing seen, or a set that could not be read', async () => {
  const unseen = await bench(undefined, undefined, undefined, { seen: async () => [] });
  await unseen.firewall.apply(plan);
  await unseen.firewall.contain({ device: 'gateway-1', containment: 'revoked', sequence: 9 });
  const data = unseen.events.at(-1)?.data ?? {};
  assert.deepEqual([data['last_from_ms'], data['last_to_ms'], data['failures']], [undefined, undefined, undefined]);
  assert.equal(data['resolution_ms'], 10);
  const unreadable = await bench(undefined, undefined, undefined, {
    end: async () => ({ flows: 0, sockets: 0, failures: ['sockets: EPERM'] }),
    seen: () => Promise.reject(new Error('set seen_from4: ENOENT')),
  });
  await unreadable.firewall.apply(plan);
  await unreadable.firewall.contain({ device: 'gateway-1', containment: 'revoked', sequence: 9 });
  const broken = unreadable.events.at(-1)?.data ?? {};
  assert.deepEqual(broken['failures'], ['sockets: EPERM', 'set seen_from4: ENOENT']);
  assert.equal(broken['resolution_ms'], undefined);
  // The cut stands all the same.
  assert.ok(unreadable.firewall.current()?.base.find((set) => set.name === 'revoked4')?.elements.length === 2);
});

test('the next order waits for the cut before it and not for its flows; a release waits for them', async () => {
  const flows = Promise.withResolvers<{ flows: number; sockets: number; failures: string[] }>();
  const { firewall, inputs, events } = await bench(undefined, undefined, undefined, { end: () => flows.promise });
  await firewall.apply(plan);
  inputs.length = 0;
  const orders = [
    firewall.contain({ device: 'gateway-1', containment: 'revoked', sequence: 9 }),
    firewall.contain({ device: 'historian', containment: 'revoked', sequence: 10 }),
    firewall.contain({ device: 'gateway-1', containment: undefined, sequence: 11 }),
    firewall.apply({ ...plan, ordersSequence: 12 }),
  ];
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(inputs.length, 2, 'both cuts, and neither the release nor the plan that releases');
  assert.ok(inputs[1]?.includes('10.20.0.4'));
  assert.equal(events.length, 0);
  flows.resolve({ flows: 1, sockets: 0, failures: [] });
  await Promise.all(orders);
  assert.deepEqual(events.map(({ activity, data }) => `${activity} ${String(data['device'])}`).toSorted(), [
    'contain gateway-1',
    'contain historian',
    'uncontain gateway-1',
  ]);
});

test('quarantine moves a peer out of the other set and spares the ports of island operations', async () => {
  const { firewall, inputs, ended } = await bench();
  await firewall.apply(plan);
  await firewall.contain({ device: 'historian', containment: 'revoked', sequence: 9 });
  inputs.length = 0;
  await firewall.contain({ device: 'historian', containment: 'quarantined', sequence: 10 });
  assert.deepEqual(inputs, [
    'delete element inet edgeward revoked4 { 10.20.0.4 }\nadd element inet edgeward quarantined4 { 10.20.0.4 }\n',
  ]);
  await firewall.contain({ device: 'gateway-1', containment: 'quarantined', sequence: 11 });
  assert.deepEqual(ended.at(-1)?.sparedPorts, [502]);
  assert.equal(await firewall.contain({ device: 'nobody', containment: 'revoked', sequence: 12 }), undefined);
});

test('a full disk holds back neither a plan nor an order, and is an event', async () => {
  const { firewall, files, events } = await bench();
  files.setFreeBytes(100);
  await firewall.apply(plan);
  await firewall.contain({ device: 'gateway-1', containment: 'revoked', sequence: 9 });
  assert.equal(firewall.current()?.epoch, 7);
  assert.deepEqual(events.map((event) => `${event.activity} ${String(event.data['code'] ?? '')}`.trim()).toSorted(), [
    'contain',
    'unsaved FILE_SYSTEM_FULL',
    'unsaved FILE_SYSTEM_FULL',
  ]);
});
