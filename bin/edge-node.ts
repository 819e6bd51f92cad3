// The edge: enforcement beside the workloads, with or without the cloud. Above the line the configuration is read; below it
// the host changes: rules first, before anything that can fail and before any network, then identity and spool, then the
// enforcement points, then the link to the cloud.
import { flushCompileCache } from 'node:module';
import { systemClock } from '../runtime/clock.ts';
import { serveDiagnostics } from '../runtime/diagnostics.ts';
import { CodedError } from '../runtime/errors.ts';
import { createLogger } from '../runtime/log.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { runTasks } from '../runtime/tasks.ts';
import { nodeFiles } from '../store/files.ts';
import { type InstanceLock, lockInstance } from '../store/instance-lock.ts';
import { type CloudLink, openCloudLink } from './edge/cloud-link.ts';
import { type EdgeConfig, loadEdgeConfig } from './edge/config.ts';
import { openControlAddresses } from './edge/control-addresses.ts';
import { type EdgeCore, openEdgeCore } from './edge/core.ts';
import { type Enforcement, openEnforcement } from './edge/enforcement.ts';
import { firewallViews } from './edge/firewall-views.ts';
import { type FirstRules, raiseFirstRules } from './edge/first-rules.ts';
import { programVersion } from './edge/program.ts';

const drainMs = 8_000;

export async function runEdgeNode(configFile: string, signal: AbortSignal): Promise<void> {
  const { config, log, lock, control, rules } = await startWithRules(configFile);
  const core = await openEdgeCore(config, log);
  const enforcement = await openEnforcement(core, rules);
  const { emit, deviceId, spool } = core;
  await emit({ kind: 'process', activity: 'start', data: { device: deviceId, message: programVersion } });
  const link = openCloudLink(core, enforcement, control);
  const diagnostics = await openDiagnostics(core, enforcement, link);
  log.info(
    { device: core.own.current().id.uri, diagnostics: diagnostics.port, serving: enforcement.serving() },
    'edge runs',
  );
  // Not only at the end: an edge that loses its power has it at the next start too. Nothing where there is no cache.
  flushCompileCache();
  try {
    const follow = control.follow(
      () => link.stream.status().connected,
      () => enforcement.firewall.refresh(),
    );
    const tasks = { ...enforcement.tasks, control: follow, stream: link.stream.run, delivery: link.delivery.task };
    await runTasks(signal, tasks, { drainMs, log });
  } finally {
    // Rules stay in force; only what answers goes away.
    await enforcement.authz.close(1_000);
    await diagnostics.close();
    await emit({ kind: 'process', activity: 'stop', data: { device: deviceId } }, true).catch((error: unknown) => {
      log.error({ err: error }, 'the end of this process could not be recorded');
    });
    await spool.close();
    lock.release();
  }
}

/** The first rules and nothing else: for a service that has to be done before any network. */
export async function raiseEdgeRules(configFile: string): Promise<FirstRules['raised']> {
  const { lock, rules } = await startWithRules(configFile);
  lock.release();
  return rules.raised;
}

async function startWithRules(configFile: string) {
  const config = await loadEdgeConfig(configFile);
  const log = createLogger({ name: 'edge', level: config.logLevel });
  const parts = { config, fs: nodeFiles, clock: systemClock, random: Math.random, log };
  const control = await openControlAddresses(parts);
  // ---- below this line the host changes ----
  const lock = await lockState(config, async () => await raiseFirstRules({ ...parts, control }));
  const rules = await raiseFirstRules({ ...parts, control });
  return { config, log, lock, control, rules };
}

/** Another edge here has its own rules in force. A disk that takes no lock is no reason to leave this host open. */
async function lockState(config: EdgeConfig, raise: () => Promise<unknown>): Promise<InstanceLock> {
  try {
    return lockInstance(config.state, 'an edge');
  } catch (error) {
    if (!(error instanceof CodedError && error.code === 'INSTANCE_RUNNING')) await raise();
    throw error;
  }
}

async function openDiagnostics(core: EdgeCore, enforcement: Enforcement, link: CloudLink) {
  const { config, own, spool, trusted } = core;
  const { activation, filtering, firewall, glass, island, serving, health, standby, workers } = enforcement;
  const notReady = (): Record<string, string> => ({
    ...health.ailments(),
    ...(filtering.degraded === undefined ? {} : { firewall: `packets are not filtered: ${filtering.degraded}` }),
    ...(serving() ? {} : { policy: 'no verified, unexpired bundle is in force' }),
  });
  const metrics = createMetrics();
  const gauge = (name: string, help: string, read: () => number): void => void metrics.gauge(name, help, [], read);
  gauge('edgeward_authz_waiting', 'answers that wait for the disk', () => health.admission.status().waiting);
  gauge('edgeward_authz_shed', 'requests denied for want of room or time', () => health.admission.status().shed);
  gauge('edgeward_not_ready', 'reasons why this edge should not be asked', () => Object.keys(notReady()).length);
  return await serveDiagnostics({
    port: config.diagnostics,
    metrics,
    notReady,
    views: firewallViews(enforcement, core),
    status: async () => ({
      device: own.current().id.uri,
      serving: Object.keys(notReady()).length === 0,
      notReady: notReady(),
      workers: workers.status(),
      bundle: activation.current()?.bundle.digest ?? '',
      version: activation.current()?.bundle.manifest.version ?? 0,
      observing: (activation.current()?.bundle.slice.interfaces ?? [])
        .filter((entry) => (entry.observeUntil ?? 0) > trusted.now())
        .map((entry) => entry.name),
      breakGlass: glass.status(),
      island: island.status(),
      standby: standby.status(),
      openOnDeath: standby.opens(),
      stream: link.stream.status(),
      clock: trusted.status(),
      spool: spool.status(),
      delivery: link.delivery.status(),
      filtering: { mode: filtering.mode, degraded: filtering.degraded, connections: filtering.counts() },
      firewall: filtering.mode === 'off' ? 'off' : await firewall.firewall?.status(),
    }),
  });
}
