// A PLC with an edge and its stand-in, as real processes in a namespace with the kernel's own rules, before a real Modbus server
// that says what reaches it; a panel and a historian that poll. The edge's state is what a control plane would have sent.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostBoot, openTrustedClock } from '../../enforcer/activation/index.ts';
import { formatVerifierKey, generateNoteKey, trustAnchorsToJson } from '../../identity/index.ts';
import { sealBundle, type Slice, type SliceInterface } from '../../policy/bundle/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeFiles } from '../../store/files.ts';
import type { SimulatedFiles } from '../../store/simulated-files.ts';
import {
  anchors,
  chunkServer,
  edge as activationOf,
  hour,
  ordersEdge,
  publisher,
  revocations,
  signedTime,
  silent,
  states,
  trustDomain,
} from '../activation/world.ts';
import { addresses, type Cell, type CellHost, openCell, ports, sliceWith } from '../firewall/cell.ts';
import type { NetProcess } from '../support/netns.ts';
import { createTestAuthority } from '../support/pki.ts';
import { until } from '../support/until.ts';

const root = join(import.meta.dirname, '../..');
const python = '/usr/bin/python3';
const plc = addresses.plc.cell;
const disk = nodeFiles as unknown as SimulatedFiles;

/** Registers: 5 is polled, 10 is a set point, 20 is the emergency stop. */
export const registers = { polled: 5, setPoint: 10, stop: 20 } as const;
/** The panel holds the stop; both may read. */
export const panel = 'gateway';
export const historian = 'camera';

export type Death = Pick<SliceInterface, 'onEnforcerDeath' | 'openUntil'>;

export interface Plant extends AsyncDisposable {
  readonly cell: Cell;
  readonly state: string;
  readonly startEdge: () => Promise<NetProcess>;
  readonly startStandby: () => Promise<NetProcess>;
  /** What reached the server so far: `read ADDRESS COUNT`, `write ADDRESS VALUES`. */
  readonly witnessed: () => readonly string[];
  /** What a poller's requests became, so far. */
  readonly poll: (host: CellHost, everyMs?: number, register?: number) => Promise<Poller>;
  /** One write by mbpoll; what it says. */
  readonly write: (host: CellHost, register: number, value: number) => Promise<string>;
  /** Writes until it is taken; milliseconds that took. */
  readonly stops: (value: number) => Promise<number>;
  /** Signed states of devices, as the edge would have written them before it died. */
  readonly restate: (version: bigint, devices: Readonly<Record<string, string>>) => Promise<void>;
  /** Files of events that wait for the edge. */
  readonly waitingEvents: () => number;
}

export interface Poller {
  readonly answers: () => readonly string[];
  /** Resolves when the last `count` are all of that kind. */
  readonly settles: (kind: RegExp, count?: number) => Promise<void>;
}

/** `mount`: brings a disk to where the state will be, before it is written. */
export async function openPlant(
  death: Death,
  more: Partial<SliceInterface> = {},
  mount: (state: string) => Promise<void> = () => Promise.resolve(),
): Promise<Plant> {
  const folder = mkdtempSync(join(tmpdir(), 'standby-'));
  const state = join(folder, 'state');
  await mount(state);
  await writeState(state, death, more);
  const config = join(folder, 'edge.yaml');
  writeFileSync(
    config,
    [
      `state: ${state}`,
      `run: ${join(folder, 'run')}`,
      `control: {address: "${addresses.control.cell}:${ports.control}"}`,
      `proxies: [{interface: modbus, listen: ${ports.proxy}}]`,
      'diagnostics: 0',
      '',
    ].join('\n'),
  );
  const cell = await openCell();
  const program = async (verb: string, ready: RegExp): Promise<NetProcess> => {
    const argv = ['--disallow-code-generation-from-strings', join(root, 'bin/edgeward.ts'), 'edge', verb];
    const started = cell.spawn('plc', [process.execPath, ...argv, '--config', config]);
    await started.waitFor(ready, 30_000);
    return started;
  };
  const script = (name: string): string => join(import.meta.dirname, name);
  const server = cell.spawn('plc', [python, script('modbus-witness.py'), plc, String(ports.modbus)]);
  await server.waitFor(/ready/);
  const lines = (process: NetProcess): string[] => process.output().trim().split('\n').slice(1);
  const write = async (host: CellHost, register: number, value: number): Promise<string> => {
    const argv = ['mbpoll', '-1', '-0', '-m', 'tcp', '-a', '1', '-t', '4', '-o', '1', '-r', String(register)];
    const { stdout, stderr } = await cell.exec(host, [...argv, '-p', String(ports.modbus), plc, String(value)]);
    return stdout + stderr;
  };
  return {
    cell,
    state,
    startEdge: async () => await program('run', /edge runs/),
    startStandby: async () => await program('standby', /standby runs/),
    witnessed: () => lines(server).filter((line) => /^(read|write) /.test(line)),
    async poll(host, everyMs = 20, register = registers.polled) {
      const argv = [script('modbus-poller.py'), plc, String(ports.modbus), String(register), String(everyMs)];
      const poller = cell.spawn(host, [python, ...argv]);
      await poller.waitFor(/polls/);
      return {
        answers: () => lines(poller),
        settles: async (kind, count = 10) => {
          const from = lines(poller).length;
          await until(`${host} gets ${String(kind)}`, () => {
            const last = lines(poller).slice(from).slice(-count);
            return Promise.resolve(last.length === count && last.every((answer) => kind.test(answer)));
          });
        },
      };
    },
    write,
    async stops(value) {
      const started = performance.now();
      await until('the emergency stop is taken', async () =>
        /Written 1/.test(await write(panel, registers.stop, value)),
      );
      return performance.now() - started;
    },
    async restate(version, devices) {
      const { store } = await ordersEdge(disk, { stateDir: state, deviceId: 'plc' });
      await store.handlers.deviceState.apply({
        version,
        payload: await states(Number(version), devices, { issuedAt: Date.now() }),
      });
    },
    waitingEvents: () => readdirSync(join(state, 'standby', 'events')).length,
    async [Symbol.asyncDispose]() {
      await cell[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function sliceOf(death: Death, more: Partial<SliceInterface>): Slice {
  const range = (name: string, functionCodes: number[], register: number, safety = false) => ({
    name,
    protocol: 'modbus' as const,
    functionCodes,
    units: [1],
    addresses: [[register, register] as [number, number]],
    class: safety ? ('safety' as const) : ('normal' as const),
    island: false,
  });
  const grant = (subject: string, ...operations: string[]) => ({
    id: `${subject}-uses`,
    subjects: [subject],
    interface: 'modbus',
    device: 'plc',
    operations,
    binding: 'port+mac+ip' as const,
    conditions: {},
    place: 'grants/cell.yaml:1',
  });
  const { interfaces } = sliceWith([]);
  const modbus = interfaces.find(({ name }) => name === 'modbus');
  if (modbus === undefined) throw new Error('the cell has no modbus');
  return sliceWith([grant(panel, 'read', 'set', 'stop'), grant(historian, 'read')], {
    interfaces: [
      {
        ...modbus,
        ...death,
        ...more,
        operations: [
          range('read', [3], registers.polled),
          range('set', [6], registers.setPoint),
          range('stop', [6], registers.stop, true),
        ],
      },
    ],
  });
}

/** Identity, policy, states and time as the edge's own stores keep them. */
async function writeState(state: string, death: Death, more: Partial<SliceInterface>): Promise<void> {
  const identity = join(state, 'identity');
  mkdirSync(identity, { recursive: true, mode: 0o700 });
  const put = (name: string, text: string): void => writeFileSync(join(identity, name), text, { mode: 0o600 });
  const authority = createTestAuthority(trustDomain);
  const svid = authority.issue(`spiffe://${trustDomain}/device/plc`);
  put('key.pem', svid.keyPem);
  put('chain.pem', svid.chainPem);
  const logVerifierKey = formatVerifierKey(`${trustDomain}/audit`, generateNoteKey().publicKey);
  put('anchors.json', trustAnchorsToJson({ trustDomain, roots: [authority.root], ...anchors, logVerifierKey }));
  const now = Date.now();
  const here = { stateDir: state, deviceId: 'plc' };
  const clock = await openTrustedClock({
    fs: nodeFiles,
    stateDir: state,
    clock: systemClock,
    boot: await hostBoot(nodeFiles, 'boot'),
    trustDomain,
    anchors: () => anchors,
    emit: () => Promise.resolve(),
    log: silent,
  });
  await clock.observe(await signedTime(now));
  const { store } = await ordersEdge(disk, { ...here, clock: { time: () => clock.time() } });
  const devices = { plc: 'trusted', [panel]: 'trusted', [historian]: 'trusted' };
  await store.handlers.deviceState.apply({ version: 1n, payload: await states(1, devices, { issuedAt: now }) });
  await store.handlers.revocations.apply({ version: 1n, payload: await revocations(1, [], { issuedAt: now }) });
  const { activation } = await activationOf(disk, { ...here, clock: systemClock });
  const meta = { version: 1, issuedAt: now, softExpiry: now + hour, hardExpiry: now + 2 * hour, commit: 'commit-1' };
  const bundle = await sealBundle(sliceOf(death, more), meta, publisher);
  await activation.offer(bundle.manifestJws, chunkServer(bundle).fetch);
}
