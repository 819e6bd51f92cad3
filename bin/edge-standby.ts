// The stand-in: a small process of its own beside the edge, which listens where the kernel diverts to when the edge's proxies do
// not, decides with the same engine by the files that the edge left, and ends an edge that hangs. It never writes what is the
// edge's; docs/decisions/0018-standby.md.
import { flushCompileCache } from 'node:module';
import type { NewEvent } from '../audit/spool/index.ts';
import { noRequestUsage } from '../enforcer/request-usage.ts';
import { createSafety } from '../enforcer/activation/index.ts';
import { listenUnix } from '../enforcer/authz/index.ts';
import {
  createHeldPeers,
  createWatch,
  type HeldPeer,
  openEventFiles,
  standbyErrors,
} from '../enforcer/standby/index.ts';
import { enforcerDeathOf, type Slice, type SliceInterface } from '../policy/bundle/index.ts';
import { systemClock } from '../runtime/clock.ts';
import { createLogger } from '../runtime/log.ts';
import { periodically, runTasks, type Task } from '../runtime/tasks.ts';
import { nodeFiles } from '../store/files.ts';
import { lockInstance } from '../store/instance-lock.ts';
import { readLogins } from './edge/brokers.ts';
import { type EdgeConfig, edgePaths, loadEdgeConfig } from './edge/config.ts';
import { systemdWatchdog } from './edge/health.ts';
import { createStandbyDecide } from './edge/standby/decide.ts';
import { openFollowing } from './edge/standby/following.ts';
import { proxyIdentity } from './edge/proxy-identity.ts';
import { createListeners, type Listeners } from './edge/standby/listeners.ts';
import { createSubjects } from './edge/subjects.ts';

/** Who may say that it is the edge could as well kill it. */
const socketMode = 0o600;

/** Milliseconds between two looks at which held peers are still connected. */
const SEEN_MS = 5_000;
const drainMs = 5_000;

/** Interfaces that a stand-in with this configuration would serve. Throws STANDBY_*. */
export async function checkStandby(configFile: string): Promise<readonly string[]> {
  const config = await loadEdgeConfig(configFile);
  mustStandIn(config);
  return config.proxies.map((proxy) => proxy.interface);
}

export async function runStandby(configFile: string, signal: AbortSignal): Promise<void> {
  const config = await loadEdgeConfig(configFile);
  mustStandIn(config);
  const log = createLogger({ name: 'standby', level: config.logLevel });
  const paths = edgePaths(config);
  const clock = systemClock;
  const lock = lockInstance(paths.standby, 'a stand-in');
  const held = createHeldPeers(() => clock.monotonic());
  const events = await openEventFiles({
    fs: nodeFiles,
    folder: paths.standbyEvents,
    clock,
    log,
    masked: config.audit.mask,
  });
  let listeners: Listeners | undefined;
  const following = await openFollowing({
    fs: nodeFiles,
    stateDir: config.state,
    clock,
    log,
    onChange: () => listeners?.recheck(),
    onContained: (devices) => devices.forEach((device) => listeners?.close(device)),
  });
  const { active, slice, time, island, orders, identity } = following;
  const now = (): number => time().now;
  const entryOf = (name: string): SliceInterface | undefined => ownInterface(slice(), name);
  const subjects = createSubjects(identity, orders, now);
  const parts = { current: active, time, island };
  listeners = createListeners({
    config,
    clock,
    log,
    emit: events.emit,
    decide: createStandbyDecide({ ...parts, entryOf, isHeld: (peer) => held.isHeld(peer) }),
    safety: createSafety(parts),
    usage: () => noRequestUsage,
    subjectOf: (address) => subjects.fromAddress(address, slice()),
    subjectOfChain: (chain) => subjects.fromChain(chain).subject,
    identity: proxyIdentity({ current: identity.current, follow: () => undefined }, () => subjects),
    slice,
    loginOf: await readLogins(config, { fs: nodeFiles, stateDir: config.state }),
    now,
    // The kernel lets packets of an open one through, and only while nobody listens.
    isServed: (name) => {
      const entry = entryOf(name);
      const { now: at, trusted } = time();
      return entry === undefined || enforcerDeathOf(entry, trusted ? at : Infinity) !== 'open';
    },
  });
  const serving = listeners;
  const tell = (event: NewEvent): void => void events.emit(event).catch(() => undefined);
  const watch = createWatch({
    clock,
    log,
    onThere() {
      held.end();
      serving.release();
      tell({ kind: 'process', activity: 'standby-rest', data: { message: 'the enforcer is there' } });
    },
    onGone(peers, killed) {
      held.begin(peers);
      tell(tookOver(killed, peers));
    },
  });
  await watch.listen((server) => listenUnix(server, paths.standbySocket, socketMode, 'standby'));
  log.info(
    { device: identity.current().id.uri, interfaces: config.proxies.map((proxy) => proxy.interface) },
    'standby runs',
  );
  // Not only at the end, as the edge does it: who is killed has it at the next start too.
  flushCompileCache();
  const systemd = systemdWatchdog(process.env, clock, (error) => log.warn({ err: error }, 'systemd was not told'));
  const seen: Task = periodically(clock, SEEN_MS, () => {
    held.seen(serving.peers());
    return Promise.resolve();
  });
  const tasks = { listeners: serving.task, following: following.task, watch: watch.task, seen };
  // What the last requests leave behind is written when all of them have ended.
  const ended = new AbortController();
  const recording = events.task(ended.signal);
  try {
    await runTasks(signal, { ...tasks, ...(systemd === undefined ? {} : { systemd }) }, { drainMs, log });
  } finally {
    watch.close();
    ended.abort();
    await recording;
    lock.release();
  }
}

function mustStandIn({ firewall, proxies }: EdgeConfig): void {
  if (firewall.mode !== 'enforce') {
    throw standbyErrors.error(
      'STANDBY_NOT_DIVERTED',
      `firewall.mode is ${firewall.mode}: nothing diverts connections to us`,
    );
  }
  if (proxies.length === 0)
    throw standbyErrors.error('STANDBY_NOTHING_PROXIED', 'no interface is proxied on this host');
}

const ownInterface = (slice: Slice | undefined, name: string): SliceInterface | undefined =>
  slice?.interfaces.find((entry) => entry.name === name && entry.device === slice.device);

const tookOver = (killed: boolean, peers: readonly HeldPeer[]): NewEvent => ({
  kind: 'process',
  activity: 'standby-active',
  severity: killed ? 'critical' : 'high',
  data: {
    message: killed
      ? 'the enforcer hung and was killed; its stand-in serves what the policy leaves it'
      : 'the enforcer is gone; its stand-in serves what the policy leaves it',
    count: peers.length,
  },
});
