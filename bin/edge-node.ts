// The edge: enforcement beside the workloads, with or without the cloud. Above the line everything is read and opened;
// below it the host changes: rules first, before any network, then the enforcement points, then the link to the cloud.
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { release } from 'node:os';
import { createCollector, nodeMeasuredFiles } from '../attest/edge/index.ts';
import { createDelivery, headType } from '../audit/edge/index.ts';
import { emitTo, openSpool } from '../audit/spool/index.ts';
import {
  createActivation,
  createDecide,
  freshnessOf,
  hostBoot,
  openOrdersStore,
  openTrustedClock,
  type OrdersStore,
  STATE_MAX_AGE_MS,
} from '../enforcer/activation/index.ts';
import { type AuthzPorts, serveAuthz } from '../enforcer/authz/index.ts';
import { watchDenials } from '../enforcer/firewall/index.ts';
import { keyId, signJws } from '../identity/index.ts';
import { knownFeatures, openBundle, type VerifiedBundle } from '../policy/bundle/index.ts';
import { createStreamClient } from '../policy/distribution/edge/index.ts';
import { compileSlice, type Engine } from '../policy/engine/index.ts';
import { ResourceType } from '../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { serveDiagnostics } from '../runtime/diagnostics.ts';
import { createLogger, type Logger } from '../runtime/log.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { periodically, runTasks, type Task } from '../runtime/tasks.ts';
import { nodeFiles } from '../store/files.ts';
import { type EdgeConfig, edgePaths, loadEdgeConfig } from './edge/config.ts';
import { openEdgeFirewall } from './edge/firewall.ts';
import { type OwnIdentity, openOwnIdentity } from './edge/identity.ts';
import { deliverOver, dialStream } from './edge/link.ts';
import { programRoots, programVersion } from './edge/program.ts';
import { createProxies } from './edge/proxies.ts';
import { createSubjects } from './edge/subjects.ts';

/** How often the kernel's table is compared with the plan. */
const driftCheckMs = 5_000;
const drainMs = 8_000;

export async function runEdgeNode(configFile: string, signal: AbortSignal): Promise<void> {
  const config = await loadEdgeConfig(configFile);
  const log = createLogger({ name: 'edge', level: config.logLevel });
  const node = await openEdgeNode(config, log);
  await node.run(signal);
}

async function openEdgeNode(config: EdgeConfig, log: Logger) {
  const paths = edgePaths(config);
  mkdirSync(config.run, { recursive: true, mode: 0o755 });
  const state = { fs: nodeFiles, path: config.state };
  const own = await openOwnIdentity(state);
  const { id, anchors } = own.current();
  const deviceId = id.name;
  const spool = await openSpool({ fs: nodeFiles, directory: paths.spool, clock: systemClock, random: randomBytes, log });
  const emit = emitTo(spool);
  const stored = { fs: nodeFiles, stateDir: config.state, trustDomain: anchors.trustDomain, anchors: () => own.anchors(), emit, log };
  const trusted = await openTrustedClock({ ...stored, clock: systemClock, boot: await hostBoot(nodeFiles, randomBytes(16).toString('hex')) });
  const trustedClock: Clock = { ...systemClock, now: () => trusted.now() };

  let orders: OrdersStore | undefined;
  const ordersNow = (): OrdersStore => {
    if (orders === undefined) throw new Error('the orders are not open yet');
    return orders;
  };
  const proxies = createProxies({
    config,
    emit,
    log,
    decide: (request) => decide(request),
    subjectOf: (address) => subjects.fromAddress(address, activation.current()?.bundle.slice),
    slice: () => activation.current()?.bundle.slice,
    now: () => trusted.now(),
  });
  const firewall = await openEdgeFirewall({
    config,
    deviceId,
    clock: systemClock,
    trusted,
    log,
    emit,
    orders: ordersNow,
    closeStreams: (device) => proxies.close(device),
    conditionsHold: (grant, subject) =>
      decide({
        subject: { id: subject, binding: grant.binding, ...ordersNow().subjectState(subject) },
        operation: { protocol: 'port' },
        resource: { interface: grant.interface, attributes: {} },
        context: { time: trusted.now(), source: 'packet', connection: '', attributes: {} },
      }).allow,
  });
  // ---- below this line the host changes ----
  await firewall.restore();
  orders = await openOrdersStore({ ...stored, clock: trusted, stateMaxAgeMs: STATE_MAX_AGE_MS, onChange: async (change) => await firewall.contain(change) });
  const subjects = createSubjects(own, orders, () => trusted.now());
  const activation = await createActivation<Engine>({
    ...stored,
    openBundle,
    compile: (bundle: VerifiedBundle) => compileSlice(bundle.slice, { digest: bundle.digest, ...bundle.manifest }),
    anchors: () => own.anchors(),
    deviceId,
    clock: trusted,
    knownFeatures,
    applyFirewall: async (slice) => await firewall.applySlice(slice),
  });
  const decide = createDecide(() => activation.current(), () => trusted.time());
  await activation.startFromDisk();
  await orders.enforce();
  await emit({ kind: 'process', activity: 'start', data: { device: deviceId, message: programVersion, bundle: activation.current()?.bundle.digest ?? '' } });

  const serving = (): boolean => {
    const active = activation.current();
    return active !== undefined && freshnessOf(active.bundle.manifest, trusted.time()) !== 'hard-expired';
  };
  const ports: AuthzPorts = {
    decide,
    identify: (peer) => subjects.fromEvidence(peer),
    emit,
    auditDurable: (name) => activation.current()?.bundle.slice.interfaces.find((entry) => entry.name === name)?.auditDurable ?? false,
    now: () => trusted.now(),
  };
  const authz = await serveAuthz(ports, serving, {
    grpc: [`unix:${paths.grpcSocket}`, ...(config.authz.tcp === undefined ? [] : [config.authz.tcp])],
    forwardAuthSocket: paths.forwardAuthSocket,
    socketMode: Number.parseInt(config.authz.socketMode, 8),
  });
  await proxies.listen();

  const collect = createCollector(
    { clock: trusted, files: nodeMeasuredFiles, deviceKey: () => own.current().keys.privateKey, activeBundle: () => activation.current()?.bundle.digest ?? '' },
    {
      deviceId,
      program: { roots: programRoots, version: programVersion },
      executables: config.attest.executables,
      platform: { os: process.platform, kernel: release() },
    },
  );
  const handlers = ordersAndStates(orders, () => firewall.refresh());
  const stream = createStreamClient({
    dial: () => dialStream(config, own, trusted),
    clock: systemClock,
    random: Math.random,
    agentVersion: programVersion,
    log,
    handlers: {
      resources: {
        [ResourceType.ORDERS]: handlers.orders,
        [ResourceType.DEVICE_STATE]: handlers.deviceState,
        [ResourceType.REVOCATIONS]: handlers.revocations,
        [ResourceType.POLICY]: activation.handler,
        [ResourceType.TRUST_BUNDLE]: own.anchorsHandler,
      },
      time: async (jws) => await trusted.observe(jws),
      evidence: async ({ nonce }) => await collect(nonce),
      renewal: own.renewal(trustedClock),
    },
  });
  const delivery = createDelivery({
    spool,
    dial: (requests, options) => deliverOver(config, own, trusted, requests, options),
    clock: systemClock,
    signHead: async (payload) => await signWith(own, headType, payload),
    log,
  });
  const tasks: Record<string, Task> = {
    stream: stream.run,
    delivery: delivery.task,
    proxies: proxies.task,
    ...firewallTasks(),
  };

  function firewallTasks(): Record<string, Task> {
    const { firewall: kernel } = firewall;
    if (kernel === undefined) return {};
    return {
      replan: firewall.task,
      denials: watchDenials({ emit, clock: systemClock, log, plan: () => kernel.current() }),
      drift: periodically(systemClock, driftCheckMs, async () => {
        const found = await kernel.repair().catch((error: unknown) => void log.error({ err: error }, 'the firewall could not be repaired'));
        if (typeof found === 'string') log.error({ drift: found }, 'the firewall was changed by others and is repaired');
      }),
    };
  }

  async function run(signal: AbortSignal): Promise<void> {
    const diagnostics = await serveDiagnostics({
      port: config.diagnostics,
      metrics: createMetrics(),
      notReady: () => (serving() ? {} : { policy: 'no verified, unexpired bundle is in force' }),
      status: async () => ({
        device: id.uri,
        serving: serving(),
        bundle: activation.current()?.bundle.digest ?? '',
        version: activation.current()?.bundle.manifest.version ?? 0,
        stream: stream.status(),
        clock: trusted.status(),
        spool: spool.status(),
        delivery: delivery.status(),
        firewall: config.firewall.mode === 'off' ? 'off' : await firewall.firewall?.status(),
      }),
    });
    log.info({ device: id.uri, diagnostics: diagnostics.port, serving: serving() }, 'edge runs');
    try {
      await runTasks(signal, tasks, { drainMs, log });
    } finally {
      // Rules stay in force; only what answers goes away.
      await authz.close(1_000);
      await diagnostics.close();
      await emit({ kind: 'process', activity: 'stop', data: { device: deviceId } }, true).catch(() => undefined);
      await spool.close();
    }
  }
  return { run };
}

/** Device states change what packets may pass: after each that was taken, the firewall is planned again. */
function ordersAndStates(orders: OrdersStore, refresh: () => void): OrdersStore['handlers'] {
  const after = (handler: OrdersStore['handlers']['orders']): OrdersStore['handlers']['orders'] => ({
    ...handler,
    apply: async (resource) => {
      const inForce = await handler.apply(resource);
      refresh();
      return inForce;
    },
  });
  const { handlers } = orders;
  return { orders: after(handlers.orders), deviceState: after(handlers.deviceState), revocations: handlers.revocations };
}

/** JWS of the device key over what it signs. */
async function signWith(own: OwnIdentity, typ: string, payload: Uint8Array): Promise<string> {
  const { keys } = own.current();
  return await signJws({ key: keys.privateKey, keyId: keyId(keys.publicKey), typ }, payload);
}
