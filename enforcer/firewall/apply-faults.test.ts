// What plans, starts and repairs do when the kernel fails in between: what is denied stays denied, and nothing is confirmed
// that nobody proved.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { sliceSchema } from '../../policy/bundle/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { readGolden } from '../../test/firewall/golden.ts';
import { memoryKernel } from '../../test/firewall/memory-kernel.ts';
import { createFirewall, type Firewall } from './firewall.ts';
import { compileFirewall } from './compile.ts';
import { firewallErrors } from './errors.ts';
import { judgeTable } from './judge.ts';
import type { FirewallPlan, Ruleset } from './plan.ts';
import type { ForeignCommit, Notice } from './watch/notices.ts';

const { input, plan: golden } = readGolden('plc-cell.txt');
const slice = sliceSchema.parse(input.slice);
const lockdown = readGolden('lockdown.txt').plan;

const compiled = (bundle: number, firewall: Slice['firewall'] = []): FirewallPlan =>
  compileFirewall({ ...slice, firewall: [...slice.firewall, ...firewall] }, { ...input.state, bundle }, input.host);
const confirmed = compiled(1);
/** The page of the PLC, to the gateway, which `confirmed` grants it. */
const denying = compiled(2, [
  {
    id: 'no-page',
    tier: 'admin',
    priority: 400,
    verdict: 'deny',
    direction: 'in',
    transport: 'tcp',
    peers: ['10.20.0.3/32'],
    ports: [443, 443],
    place: 'firewall/x.yaml:1',
  },
]);

const askForPage = (table: Ruleset | undefined, now: number): string =>
  judgeTable(
    table ?? { sets: [], chains: [] },
    {
      way: 'in',
      source: '10.20.0.3',
      destination: '10.20.0.2',
      protocol: 'tcp',
      sport: 40_000,
      dport: 443,
      inInterface: 'eth0',
      mac: '02:00:00:00:00:03',
      state: 'new',
      direction: 'original',
    },
    now,
  ).rule;

type Operation = 'write' | 'read';

/** A host whose kernel and disk outlive the firewall. */
class Host {
  readonly clock = new FakeClock(golden.compiledAt);
  readonly events: NewEvent[] = [];
  /** Faults of the operations to come, in their order; undefined for those that work. */
  faults: { readonly write: (Error | undefined)[]; readonly read: (Error | undefined)[] } = { write: [], read: [] };
  reads = 0;
  isReached = true;
  asked = 0;
  files = new SimulatedFiles();
  readonly kernel = memoryKernel(
    () => this.clock.monotonic(),
    () => this.clock.now(),
    { before: (what) => this.#meet(what) },
  );
  firewall!: Firewall;
  /** What the next listings are made into. */
  listing: (listing: Awaited<ReturnType<typeof this.kernel.read>>) => typeof listing = (listing) => listing;

  static async open(): Promise<Host> {
    const host = new Host();
    await host.files.mkdir('/state');
    host.start();
    return host;
  }

  /** As after the end of the process before. */
  start(): void {
    this.firewall = createFirewall({
      run: () => Promise.resolve({ code: 0, stdout: '', stderr: '' }),
      kernel: {
        ...this.kernel,
        wrote: () => false,
        read: async () => {
          this.reads += 1;
          return this.listing(await this.kernel.read());
        },
      },
      fs: this.files,
      directory: '/state',
      clock: this.clock,
      log: createLogger({ name: 'test', level: 'silent' }),
      emit: (event) => Promise.resolve(void this.events.push(event)),
      control: () => golden.control,
      confirm: () => Promise.resolve(() => Promise.resolve(this.#ask())),
      closeStreams: () => 0,
      flows: { end: () => Promise.resolve({ flows: 0, sockets: 0, failures: [] }), seen: () => Promise.resolve([]) },
    });
  }

  page(): string {
    return askForPage(this.kernel.table(), this.clock.monotonic());
  }

  #ask(): boolean {
    this.asked += 1;
    return this.isReached;
  }

  #meet(what: Operation): void {
    const fault = this.faults[what].shift();
    if (fault !== undefined) throw fault;
  }
}

const lost = new Error('ENOBUFS');
const refusal = firewallErrors.error('FIREWALL_KERNEL_REFUSED', 'set x: EINVAL');

test('a plan that follows a candidate nobody could take back is proven before it is confirmed', async () => {
  const host = await Host.open();
  await host.firewall.apply(confirmed);
  host.isReached = false;
  // The candidate goes live; falling back and settling it do not.
  host.faults.write.push(undefined, lost, lost);
  await assert.rejects(host.firewall.apply(denying), lost);
  assert.ok(host.firewall.state()?.candidate !== undefined);
  assert.equal(host.page(), 'firewall:no-page');
  // The same rules as the confirmed ones: elements only, unless the denies of the candidate are given up for it.
  await assert.rejects(host.firewall.apply({ ...confirmed, bundle: 3 }), { code: 'FIREWALL_UNCONFIRMED' });
  assert.equal(host.asked, 2);
  assert.equal(host.page(), 'firewall:no-page');
  host.isReached = true;
  await host.firewall.apply({ ...confirmed, bundle: 3 });
  assert.equal(host.page(), '');
});

test('an order for a peer that only a candidate names, whose answer was lost, ends that candidate', async () => {
  const host = await Host.open();
  await host.firewall.restore(lockdown);
  // What went live cannot be read back.
  host.faults.read.push(lost);
  await assert.rejects(host.firewall.apply(confirmed), lost);
  assert.equal(host.page(), '');
  assert.equal(await host.firewall.contain({ device: 'gateway-1', containment: 'revoked', sequence: 9 }), undefined);
  assert.equal(host.page(), 'default-in');
});

/** A host whose disk has a confirmed plan and one that was never confirmed, at its next start. */
async function atStart(): Promise<Host> {
  const host = await Host.open();
  await host.firewall.apply(confirmed);
  host.isReached = false;
  await assert.rejects(host.firewall.apply(denying), { code: 'FIREWALL_UNCONFIRMED' });
  host.isReached = true;
  await host.kernel.remove();
  host.files = host.files.restart();
  host.start();
  return host;
}

test('a start with a fault of the kernel keeps the denies of plans that were never confirmed', async () => {
  for (const fault of [lost, firewallErrors.error('FIREWALL_NO_ANSWER', 'nft')]) {
    const host = await atStart();
    host.faults.write.push(fault);
    assert.equal(await host.firewall.restore(lockdown), 'lockdown');
    await host.firewall.apply(confirmed);
    assert.equal(host.page(), 'firewall:no-page');
  }
});

test('so it does when what was loaded cannot be read', async () => {
  const host = await atStart();
  // What stands there, and what is blocked, are asked before it is loaded.
  host.faults.read.push(undefined, undefined, refusal);
  assert.equal(await host.firewall.restore(lockdown), 'lockdown');
  await host.firewall.apply(confirmed);
  assert.equal(host.page(), 'firewall:no-page');
});

test('denies that could not be loaded at the start come with the next look, and with the next plan', async () => {
  for (const next of ['look', 'plan'] as const) {
    const host = await atStart();
    host.faults.write.push(lost, lost);
    assert.equal(await host.firewall.restore(lockdown), 'lockdown');
    assert.equal(host.page(), 'default-in');
    if (next === 'look') assert.match((await host.firewall.repair()) ?? '', /^(chain|set) /);
    else await host.firewall.apply(confirmed);
    assert.equal(host.page(), 'firewall:no-page');
    host.start();
    await host.firewall.restore(lockdown);
    assert.equal(host.page(), 'firewall:no-page', 'and are on the disk');
  }
});

test('a start whose kernel refuses the denies that were never confirmed goes on without them', async () => {
  const host = await atStart();
  host.faults.write.push(refusal);
  assert.equal(await host.firewall.restore(lockdown), 'last-good');
  assert.equal(host.page(), '');
});

const served = (host: Host): string => {
  const set = host.kernel.table()?.sets.find(({ name, elements }) => name.endsWith('served4') && elements.length > 0);
  assert.ok(set !== undefined);
  return set.name;
};

/** Listings lack the elements of this set, so many times. */
function lacking(host: Host, name: string, times: number): void {
  let left = times;
  host.listing = (listing) => {
    const set = listing?.sets.get(name);
    if (listing === undefined || set === undefined || left === 0) return listing;
    left -= 1;
    return { ...listing, sets: new Map(listing.sets).set(name, { ...set, elements: [], expiring: new Map() }) };
  };
}

test('a look that misses an element once looks again; what is missing in every reading is drift', async () => {
  const host = await Host.open();
  await host.firewall.apply(confirmed);
  lacking(host, served(host), 1);
  const before = host.reads;
  assert.equal(await host.firewall.repair(), undefined);
  assert.equal(host.reads - before, 2);
  assert.deepEqual(host.events, []);
  lacking(host, served(host), Number.POSITIVE_INFINITY);
  await assert.rejects(host.firewall.repair(), { code: 'FIREWALL_DRIFT' });
});

test('where somebody else wrote, a missing element is believed at once', async () => {
  const host = await Host.open();
  await host.firewall.apply(confirmed);
  lacking(host, served(host), 1);
  const commit: ForeignCommit = {
    generation: 1,
    pid: 1,
    port: 1,
    process: 'nft',
    changes: ['removed an element'],
    blocked: [],
    elsewhere: false,
    author: { command: '', uid: undefined },
  };
  const notice: Notice = { commits: [commit], more: [], overrun: false, lost: 0, always: false };
  assert.match((await host.firewall.repair(() => notice)) ?? '', /served4 lacks /);
});
