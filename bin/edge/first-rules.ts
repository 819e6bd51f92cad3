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
  kernelTable,
  type RunCommand,
  runCommand,
} from '../../enforcer/firewall/index.ts';
import { storedIsland } from './island-without-edge.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { FileSystem } from '../../store/files.ts';
import { type EdgeConfig, edgePaths } from './config.ts';
import type { ControlAddresses } from './control-addresses.ts';
import { reachesControl } from './reach-control.ts';

export interface FirstRules {
  /** undefined where packets are not filtered. */
  readonly firewall: Firewall | undefined;
  /** `none` where packets are not filtered, and on a host that was never enrolled. */
  readonly raised: 'last-good' | 'lockdown' | 'none';
  /** This host as the next plan sees it. */
  readonly hostNow: (deviceId: string) => HostConfig;
  /** From then on new rules have to leave the control plane reachable in fact, whenever `connected` says that it was. */
  watchLink(connected: () => boolean): void;
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
  const hostNow = (localDeviceId: string): HostConfig => {
    planned = control.endpoints();
    const proxies = config.proxies.map((proxy) => ({ interface: proxy.interface, listenPort: proxy.listen }));
    return { localDeviceId, controlEndpoints: planned, dns: control.resolvers(), proxies };
  };
  if (config.firewall.mode === 'off') {
    log.warn('firewall.mode is off: packets are not filtered on this host');
    return {
      firewall: undefined,
      raised: 'none',
      hostNow,
      watchLink: () => undefined,
      attach: () => Promise.resolve(),
    };
  }
  const { firewall: directory } = edgePaths(config);
  await fs.mkdir(directory).catch((error: unknown) => {
    log.error({ err: error, directory }, 'rules in force will not be kept for the next start');
  });
  const waiting: NewEvent[] = [];
  let later: Later | undefined;
  let connected = (): boolean => false;
  const run = parts.run ?? runCommand;
  const firewall = createFirewall({
    run,
    flows: config.firewall.backend === 'nft' || parts.run !== undefined ? commandAccess(run) : flowAccess(run),
    kernel: kernelTable(config.firewall.backend, run, log),
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
    // Where the control plane cannot be reached there is no way that new rules could cut: what the plan says is believed.
    confirm: async () => {
      const before = connected() || (await reachesControl(planned, AbortSignal.timeout(reachedBeforeMs)));
      return async (signal) => !before || (await reachesControl(planned, signal));
    },
  });
  // In force with the first rules: whoever ordered it did not mean until the next restart.
  await firewall.island(await storedIsland(fs, config.state));
  let raised: FirstRules['raised'] = 'none';
  if (await hasBeenInForce(parts)) {
    const state = { epoch: firewall.nextEpoch(), now: clock.now(), ordersSequence: 0, states: {} };
    raised = await firewall.restore(compileFirewall(undefined, state, hostNow(unnamed)));
    log.info({ rules: raised }, 'firewall rules in force before any network');
  }
  return {
    firewall,
    raised,
    hostNow,
    watchLink: (link) => {
      connected = link;
    },
    attach: async (now) => {
      later = now;
      for (const event of waiting.splice(0)) await now.emit(event);
    },
  };
}

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
