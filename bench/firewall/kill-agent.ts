// Runs inside one host of the bench's network: puts the plan on disk in force and applies others, one after the other and
// without a pause, each a new generation that is proven and confirmed, until it is killed. Begins at a line on standard input.
//   node kill-agent.ts DIRECTORY CONFIRM_MS
import { once } from 'node:events';
import { connect } from 'node:net';
import { createFirewall, flowAccess, netlinkTable, runCommand } from '../../enforcer/firewall/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';
import { host } from '../../test/firewall/cell.ts';
import { compileFirewall } from '../../enforcer/firewall/index.ts';
import { killPlan } from './kill-plans.ts';

const [directory = '.', confirmMs = '1500'] = process.argv.slice(2);
const [control] = host.controlEndpoints;
const reached = (signal: AbortSignal): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: control!.address, port: control!.port, signal });
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });

const firewall = createFirewall({
  run: runCommand,
  kernel: netlinkTable(),
  flows: flowAccess(runCommand),
  fs: nodeFiles,
  directory,
  clock: systemClock,
  log: createLogger({ name: 'kill-agent', level: 'silent' }),
  emit: async () => undefined,
  control: () => host.controlEndpoints,
  closeStreams: () => 0,
  confirmMs: Number(confirmMs),
  confirm: async () => reached,
});
console.log('loaded');
await once(process.stdin, 'data');
const lockdown = compileFirewall(
  undefined,
  { epoch: 1, now: Date.now(), ordersSequence: 0, states: {} },
  {
    ...host,
    proxies: [],
  },
);
const restored = await firewall.restore(lockdown);
console.log(`restored ${restored}`);
for (;;) {
  const epoch = firewall.nextEpoch();
  console.log(`applying ${epoch}`);
  await firewall.apply(killPlan(epoch)).catch((error: unknown) => console.log(`refused ${String(error)}`));
}
