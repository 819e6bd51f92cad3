// Joins the firewall to what is in force: a plan from slice, states and host, applied when any of them changes.
import { lookup } from 'node:dns/promises';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import {
  compileFirewall,
  type ControlEndpoint,
  createFirewall,
  type Firewall,
  type HostConfig,
  runCommand,
} from '../../enforcer/firewall/index.ts';
import type { ContainmentChange, OrdersStore, TrustedClock } from '../../enforcer/activation/index.ts';
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { Slice, SliceGrant } from '../../policy/bundle/index.ts';
import type { SubjectState } from '../../policy/engine/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { errorTable } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Task } from '../../runtime/tasks.ts';
import { nodeFiles } from '../../store/files.ts';
import type { EdgeConfig } from './config.ts';
import { edgePaths } from './config.ts';
import { containAll } from './contain-all.ts';
import { createReplan } from './replan.ts';

export const edgeFirewallErrors = errorTable({
  EDGE_CONTROL_UNRESOLVED: {
    status: 'UNAVAILABLE',
    remedy: 'Name the control plane by address in edge.yaml (control.address), or make its name resolve once.',
  },
});

export interface EdgeFirewall {
  /** Before any network: last good rules, else lock-down. */
  restore(): Promise<void>;
  /** Puts the slice in force under the states of now; rejects when the kernel refuses. `opens` is its own engine's word. */
  applySlice(slice: Slice, opens: PortAnswer): Promise<void>;
  /** The same slice under the states of now, if they differ or `always`. Coalesced, never rejects; what fails is logged. */
  refresh(always?: boolean): void;
  contain(change: ContainmentChange): Promise<void>;
  /** Plans anew when a time window or an end date passes, and every minute. */
  readonly task: Task;
  readonly firewall: Firewall | undefined;
}

/** Bounds of the time between two plans that nothing else asked for, milliseconds. */
const minReplanMs = 1_000;
const maxReplanMs = 60_000;

export interface EdgeFirewallParts {
  readonly config: EdgeConfig;
  readonly deviceId: string;
  readonly clock: Clock;
  readonly trusted: TrustedClock;
  readonly log: Logger;
  readonly emit: EmitEvent;
  readonly orders: () => OrdersStore;
  readonly closeStreams: (deviceId: string) => void;
}

/**
 * Whether a grant on a plain port opens it to the subject now. Asked of the engine of the same bundle, because nobody
 * looks at such a packet again: conditions, and what an expired bundle still admits, count here or nowhere.
 */
export type PortAnswer = (grant: SliceGrant, subject: string) => boolean;

/** What a plan is made from. */
interface Source {
  readonly slice: Slice;
  readonly opens: PortAnswer;
}

export async function openEdgeFirewall(parts: EdgeFirewallParts): Promise<EdgeFirewall> {
  const { config, log } = parts;
  if (config.firewall.mode === 'off') {
    log.warn('firewall.mode is off: packets are not filtered on this host');
    return {
      restore: noWork,
      applySlice: noWork,
      refresh: () => undefined,
      // Packets pass here; what we carry ourselves ends all the same.
      contain: (change) => {
        for (const device of Object.values(change).flat()) parts.closeStreams(device);
        return Promise.resolve();
      },
      task: noWork,
      firewall: undefined,
    };
  }
  const paths = edgePaths(config);
  mkdirSync(paths.firewall, { recursive: true, mode: 0o700 });
  const control = await controlEndpoints(config);
  const host: HostConfig = {
    localDeviceId: parts.deviceId,
    controlEndpoints: control,
    ...(config.firewall.dns.length === 0 ? {} : { dns: config.firewall.dns }),
    proxies: config.proxies.map((proxy) => ({ interface: proxy.interface, listenPort: proxy.listen })),
  };
  const firewall = createFirewall({
    run: runCommand,
    fs: nodeFiles,
    directory: paths.firewall,
    clock: parts.clock,
    log,
    emit: parts.emit,
    control: () => control,
    closeStreams: parts.closeStreams,
  });
  /** What the plan in force was made from. */
  let inForce = '';

  const put = async (source: Source | undefined, always: boolean): Promise<void> => {
    const orders = parts.orders();
    const states = Object.fromEntries(
      (source?.slice.devices ?? []).map((device): [string, SubjectState] => [
        device.id,
        orders.subjectState(device.id).state,
      ]),
    );
    const answers = source === undefined ? new Map<string, boolean>() : portAnswers(source);
    const basis = JSON.stringify([states, orders.handlers.orders.version().toString(), [...answers]]);
    if (!always && basis === inForce) return;
    const plan = compileFirewall(
      source?.slice,
      {
        epoch: firewall.nextEpoch(),
        now: parts.trusted.now(),
        ordersSequence: Number(orders.handlers.orders.version()),
        states,
        conditionsHold: (grant, subject) => answers.get(answerKey(grant, subject)) === true,
      },
      host,
    );
    await firewall.apply(plan);
    inForce = basis;
  };
  const replan = createReplan(put, (error) =>
    log.error({ err: error }, 'the firewall did not take the new states; the old rules stay'),
  );
  const refresh = (always = false): void => replan.refresh(always);

  return {
    firewall,
    task: async (signal) => {
      while (!signal.aborted) {
        const next = firewall.current()?.nextChange ?? Number.POSITIVE_INFINITY;
        const waitMs = Math.max(minReplanMs, Math.min(maxReplanMs, next - parts.trusted.now()));
        await parts.clock.sleep(waitMs, signal).catch(() => undefined);
        if (!signal.aborted) refresh(true);
      }
    },
    restore: async () => {
      const lockdown = compileFirewall(
        undefined,
        { epoch: firewall.nextEpoch(), now: parts.clock.now(), ordersSequence: 0, states: {} },
        host,
      );
      const which = await firewall.restore(lockdown);
      log.info({ rules: which }, 'firewall rules in force before any network');
    },
    applySlice: async (slice, opens) => await replan.replace({ slice, opens }),
    refresh,
    contain: async (change) => {
      const sequence = Number(parts.orders().handlers.orders.version());
      await containAll(change, {
        contain: async (device, containment) => await firewall.contain({ device, containment, sequence }),
        closeStreams: parts.closeStreams,
      });
    },
  };
}

const answerKey = (grant: SliceGrant, subject: string): string => JSON.stringify([grant.id, grant.interface, subject]);

/** For every grant on a plain port that this device serves. */
function portAnswers({ slice, opens }: Source): Map<string, boolean> {
  const ports = new Set(
    slice.interfaces
      .filter((entry) => entry.device === slice.device && entry.protocol === 'port')
      .map((entry) => entry.name),
  );
  return new Map(
    slice.grants
      .filter((grant) => grant.device === slice.device && ports.has(grant.interface))
      .flatMap((grant) => grant.subjects.map((subject) => [answerKey(grant, subject), opens(grant, subject)] as const)),
  );
}

const noWork = (): Promise<void> => Promise.resolve();

/** Where the control plane is, as addresses; what was resolved last is kept for a start without network. */
async function controlEndpoints(config: EdgeConfig): Promise<ControlEndpoint[]> {
  const match = /^\[?(.*?)\]?:(\d+)$/.exec(config.control.address);
  const [, host = '', port = '0'] = match ?? [];
  const known = join(config.state, 'control-addresses.json');
  const endpoints = (addresses: readonly string[]): ControlEndpoint[] =>
    addresses.map((address) => ({ address, port: Number(port), transport: 'tcp' }));
  if (isIP(host) !== 0) return endpoints([host]);
  try {
    const addresses = (await lookup(host, { all: true })).map((entry) => entry.address);
    writeFileSync(known, JSON.stringify(addresses));
    return endpoints(addresses);
  } catch (cause) {
    if (existsSync(known)) return endpoints(JSON.parse(readFileSync(known, 'utf8')) as string[]);
    throw edgeFirewallErrors.error('EDGE_CONTROL_UNRESOLVED', `${host} does not resolve and was never reached before`, {
      cause,
    });
  }
}
