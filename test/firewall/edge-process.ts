// A small edge inside a host of the cell: applies the plan it gets on standard input and reports denials as JSON lines,
// until it is killed.
//   node edge-process.ts DIRECTORY [receive buffer bytes]
import { text } from 'node:stream/consumers';
import {
  createFirewall,
  flowAccess,
  kernelTable,
  plansOf,
  runCommand,
  watchDenials,
} from '../../enforcer/firewall/index.ts';
import type { FirewallPlan } from '../../enforcer/firewall/index.ts';
import { openNflog } from '../../runtime/linux-nflog.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';

const [directory = '.', receiveBufferBytes] = process.argv.slice(2);
const plan = JSON.parse(await text(process.stdin)) as FirewallPlan;
const log = createLogger({ name: 'edge', level: 'silent' });
const emit = async (event: object): Promise<void> => console.log(JSON.stringify(event));
const firewall = createFirewall({
  run: runCommand,
  kernel: kernelTable('auto', runCommand, log),
  flows: flowAccess(runCommand),
  fs: nodeFiles,
  directory,
  clock: systemClock,
  log,
  emit,
  control: () => plan.control,
  closeStreams: () => 0,
});
await firewall.apply(plan);
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
// Something has to keep the process alive: the reader does not.
const alive = setInterval(() => {}, 1_000);
const watching = watchDenials({
  emit,
  clock: systemClock,
  log,
  plans: () => plansOf(firewall.state()),
  ...(receiveBufferBytes === undefined
    ? {}
    : { open: (handlers) => openNflog({ group: 5, receiveBufferBytes: Number(receiveBufferBytes) }, handlers) }),
})(stop.signal);
console.log('in force');
await watching;
clearInterval(alive);
