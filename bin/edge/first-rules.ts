// The rules that come before everything that can fail: before the identity, the spool and the policy are read, and before
// any network. Last good ones, else lock-down; whatever goes wrong afterwards, this host is not open.
import { join } from 'node:path';
import type { EmitEvent, NewEvent } from '../../audit/spool/index.ts';
import { isEnrolled } from '../../ca/edge/index.ts';
import {
  commandAccess,
  compileFirewall,
  type ControlEndpoint,
  createFirewall,
  flowAccess,
  type Firewall,
  type HostConfig,
  type KernelTable,
  kernelTable,
  simulatedTable,
  type RunCommand,
  runCommand,
} from '../../enforcer/firewall/index.ts';
import { storedIsland } from './island-without-edge.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { FileSystem } from '../../store/files.ts';
import { type EdgeConfig, edgePaths } from './config.ts';
import type { ControlAddresses } from './control-addresses.ts';
import { reachesControl } from './reach-control.ts';

/** `proxies` and `simulate`: nothing is in the kernel. */
export type FirewallMode = EdgeConfig['firewall']['mode'];

export interface FirstRules {
  /** What is done in fact. */
  readonly mode: FirewallMode;
  /** Why that is less than the configuration asks for; absent when it is not. */
  readonly degraded?: string;
  /** undefined where packets are not filtered. */
  readonly firewall: Firewall | undefined;
  /** `none` where packets are not filtered, and on a host that was never enrolled. */
  readonly raised: 'last-good' | 'lockdown' | 'none';
  /** The proxies listen: the next plan may open what a waiver opens past them when they are dead. */
  proxiesListen(): void;
  /** This host as the next plan sees it. */
  readonly hostNow: (deviceId: string) => HostConfig;
  /** Hands over what was to be recorded so far; from then on events go to `emit` and orders close streams. */
  attach(later: Later): Promise<void>;
}

/** What exists only after the rules. */
export interface Later {
  readonly emit: EmitEvent;
  readonly closeStreams: (deviceId: string) => number;
  /** Trusted wall clock of receipts; until then the host's own. */
  readonly now: () => number;
}

export interface FirstRulesParts {
  readonly config: EdgeConfig;
  readonly control: ControlAddresses;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly log: Logger;
  readonly run?: RunCommand;
}

/** Milliseconds within which the control plane has to answer to count as reached under the rules of before. */
const reachedBeforeMs = 2_000;

/** Nobody has read yet who this device is. */
const unnamed = 'this-device';

export async function raiseFirstRules(parts: FirstRulesParts): Promise<FirstRules> {
  const { config, control, fs, clock, log } = parts;
  // A plan answers for the addresses that it was made with; those that are found meanwhile are the next plan's.
  let planned: readonly ControlEndpoint[] = control.endpoints();
  let proxiesListen = false;
  const hostNow = (localDeviceId: string): HostConfig => {
    planned = control.endpoints();
    const proxies = config.proxies.map(({ interface: name, listen: listenPort, standby: standbyPort }) => ({
      interface: name,
      listenPort,
      standbyPort,
    }));
    return { localDeviceId, controlEndpoints: planned, dns: control.resolvers(), proxies, proxiesListen };
  };
  if (config.firewall.mode === 'off') {
    log.warn('firewall.mode is off: packets are not filtered on this host');
    return {
      mode: 'off',
      firewall: undefined,
      raised: 'none',
      hostNow,
      proxiesListen: () => (proxiesListen = true),
      attach: async (now) => await now.emit(weakened('off', undefined)),
    };
  }
  const { firewall: directory } = edgePaths(config);
  await fs.mkdir(directory).catch((error: unknown) => {
    log.error({ err: error, directory }, 'rules in force will not be kept for the next start');
  });
  const waiting: NewEvent[] = [];
  let later: Later | undefined;
  const run = parts.run ?? runCommand;
  const wasInForce = await hasBeenInForce(parts);
  const real = kernelTable(config.firewall.backend, run, log);
  const degraded =
    config.firewall.mode === 'enforce' && wasInForce ? await whyNot(real, config.firewall.fallback) : undefined;
  const mode = degraded === undefined ? config.firewall.mode : 'proxies';
  const inKernel = mode === 'enforce';
  if (!inKernel) {
    log.error(
      { mode, degraded: degraded?.message },
      'PACKET RULES ARE NOT IN THE KERNEL: packets pass, whatever the policy says',
    );
    waiting.push(weakened(mode, degraded));
  }
  const firewall = createFirewall({
    run: inKernel ? run : noCommand,
    flows: !inKernel
      ? commandAccess(noCommand)
      : config.firewall.backend === 'nft' || parts.run !== undefined
        ? commandAccess(run)
        : flowAccess(run),
    kernel: inKernel ? real : simulatedTable(),
    fs,
    directory,
    clock,
    log,
    emit: async (event, durable) => {
      if (later === undefined) waiting.push(event);
      else await later.emit(event, durable);
    },
    control: () => planned,
    closeStreams: (device) => later?.closeStreams(device) ?? 0,
    trustedNow: () => later?.now() ?? clock.now(),
    // Where the control plane does not answer directly (it is down, or behind an HTTP proxy) there is no way that new rules could
    // cut: what the plan says is believed. Asked by the same means before and after, so that the answers can be compared.
    confirm: async () => {
      const before = await reachesControl(planned, AbortSignal.timeout(reachedBeforeMs));
      return async (signal) => !before || (await reachesControl(planned, signal));
    },
  });
  // In force with the first rules: whoever ordered it did not mean until the next restart.
  await firewall.island(await storedIsland(fs, config.state));
  let raised: FirstRules['raised'] = 'none';
  if (wasInForce) {
    const state = { epoch: firewall.nextEpoch(), now: clock.now(), ordersSequence: 0, states: {} };
    raised = await firewall.restore(compileFirewall(undefined, state, hostNow(unnamed)));
    if (inKernel) log.info({ rules: raised }, 'firewall rules in force before any network');
  }
  return {
    mode,
    ...(degraded === undefined ? {} : { degraded: degraded.message }),
    firewall,
    raised: inKernel ? raised : 'none',
    hostNow,
    proxiesListen: () => (proxiesListen = true),
    attach: async (now) => {
      later = now;
      for (const event of waiting.splice(0)) await now.emit(event);
    },
  };
}

/** For what is in no kernel: no program is started. */
const noCommand: RunCommand = () => Promise.resolve({ code: 0, stdout: '', stderr: '' });

/** Why the kernel takes no rules from this process; undefined when it does. Throws that where nothing else is allowed. */
async function whyNot(
  kernel: KernelTable,
  fallback: EdgeConfig['firewall']['fallback'],
): Promise<CodedError | undefined> {
  try {
    await kernel.read();
    return undefined;
  } catch (error) {
    if (fallback === 'refuse' || !(error instanceof CodedError)) throw error;
    return error;
  }
}

/** The control plane hears that packets pass here, and why. */
const weakened = (mode: FirewallMode, degraded: CodedError | undefined): NewEvent => ({
  kind: 'firewall',
  activity: degraded === undefined ? 'mode' : 'degrade',
  severity: degraded === undefined ? 'high' : 'critical',
  data: {
    state: mode,
    ...(degraded === undefined ? {} : { code: degraded.code }),
    message: degraded?.message ?? `firewall.mode is ${mode}: packets are not filtered in the kernel`,
  },
});

/**
 * A host that was never enrolled stays as it is: nothing is granted to it, and it has to reach the enrolment. A disk that
 * does not say so is that of an enrolled one.
 */
async function hasBeenInForce({ config, fs }: FirstRulesParts): Promise<boolean> {
  try {
    if (await isEnrolled({ fs, path: config.state })) return true;
    return (await fs.stat(join(edgePaths(config).firewall, 'firewall.json'))) !== undefined;
  } catch {
    return true;
  }
}
