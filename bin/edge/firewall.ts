// Joins the firewall to what is in force: a plan from slice, states and host, applied when any of them changes.
import { compileFirewall, type Firewall, groupsOf, type PlanRelease } from '../../enforcer/firewall/index.ts';
import type { ContainmentChange, OrderedBlock, OrdersStore, TrustedClock } from '../../enforcer/activation/index.ts';
import type { KernelIsland } from '../../enforcer/island/index.ts';
import type { Slice, SliceGrant } from '../../policy/bundle/index.ts';
import type { SubjectState } from '../../policy/engine/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Task } from '../../runtime/tasks.ts';
import { containAll } from './contain-all.ts';
import type { FirstRules } from './first-rules.ts';
import { createReplan } from './replan.ts';

export interface EdgeFirewall {
  /** Puts the slice in force under the states of now; rejects when the kernel refuses. `opens` is its own engine's word. */
  applySlice(slice: Slice, release: SliceRelease, opens: PortAnswer): Promise<void>;
  /** The same slice under the states of now, if they differ or `always`. Coalesced, never rejects; what fails is logged. */
  refresh(always?: boolean): void;
  contain(change: ContainmentChange): Promise<void>;
  /** Cuts all packets but those of safety and island operations, or ends that. */
  island(state: KernelIsland): Promise<void>;
  /** Addresses that orders block, all of them, and those to be forgotten, ordered or learned. */
  blocks(blocks: ReadonlyMap<string, OrderedBlock>, pardons: readonly string[]): Promise<void>;
  /** Forgets a learned block; resolves with whether there was one. */
  pardon(request: { readonly address: string; readonly by: string; readonly reason: string }): Promise<boolean>;
  /** Plans anew when a time window or an end date passes, when a workload's control group is another, and every minute. */
  readonly task: Task;
  readonly firewall: Firewall | undefined;
}

/** Bounds of the time between two plans that nothing else asked for, milliseconds. */
const minReplanMs = 1_000;
const maxReplanMs = 60_000;
/** How often control groups are looked at: one that is made anew gets nothing until then. */
const groupLookMs = 500;

export interface EdgeFirewallParts {
  readonly rules: FirstRules;
  readonly deviceId: string;
  readonly clock: Clock;
  readonly trusted: TrustedClock;
  readonly log: Logger;
  readonly orders: () => OrdersStore;
  readonly closeStreams: (deviceId: string) => number;
  /** Inodes of the slice's control groups that are there, by path. */
  readonly groupsNow?: (slice: Slice | undefined) => Readonly<Record<string, string>>;
  /** Addresses behind the names of the slice's rules; default: none is known. */
  readonly resolved?: (slice: Slice | undefined) => Readonly<Record<string, readonly string[]>>;
}

/**
 * Whether a grant on a plain port opens it to the subject now. Asked of the engine of the same bundle, because nobody
 * looks at such a packet again: conditions, and what an expired bundle still admits, count here or nowhere.
 */
export type PortAnswer = (grant: SliceGrant, subject: string) => boolean;

/** The bundle that a slice is from: its version, and whose it is. */
export interface SliceRelease extends PlanRelease {
  readonly version: number;
}

const releaseState = ({ version, ...release }: SliceRelease) => ({ bundle: version, release });

/** What a plan is made from. */
interface Source {
  readonly slice: Slice;
  readonly release: SliceRelease;
  readonly opens: PortAnswer;
}

export function openEdgeFirewall(parts: EdgeFirewallParts): EdgeFirewall {
  const { log, groupsNow = groupsOf } = parts;
  const { firewall, hostNow } = parts.rules;
  if (firewall === undefined) {
    return {
      applySlice: noWork,
      refresh: () => undefined,
      // Packets pass here; what we carry ourselves ends all the same.
      contain: (change) => {
        for (const device of Object.values(change).flat()) parts.closeStreams(device);
        return Promise.resolve();
      },
      island: noWork,
      blocks: noWork,
      pardon: () => Promise.resolve(false),
      task: noWork,
      firewall: undefined,
    };
  }
  /** What the plan in force was made from. */
  let inForce = '';
  let planned: { readonly slice: Slice | undefined; readonly groups: string } = { slice: undefined, groups: '{}' };

  const put = async (source: Source | undefined, always: boolean): Promise<void> => {
    const orders = parts.orders();
    const heard = firewall.heard();
    const states = Object.fromEntries(
      (source?.slice.devices ?? []).map((device): [string, SubjectState] => [
        device.id,
        orders.subjectState(device.id).state,
      ]),
    );
    const answers = source === undefined ? new Map<string, boolean>() : portAnswers(source);
    const cgroups = groupsNow(source?.slice);
    // Only a waiver asks whether proxies listen, and whether somebody vouches for the time.
    const waived = source?.slice.interfaces.some((entry) => entry.openUntil !== undefined) === true;
    const found = hostNow(parts.deviceId);
    const proxiesListen = waived && found.proxiesListen === true;
    const host = { ...found, proxiesListen, resolved: parts.resolved?.(source?.slice) ?? {}, cgroups };
    const { now, trusted } = parts.trusted.time();
    const timeTrusted = !waived || trusted;
    const basis = JSON.stringify([
      states,
      orders.handlers.orders.version().toString(),
      [...answers],
      host,
      timeTrusted,
    ]);
    if (!always && basis === inForce) return;
    const plan = compileFirewall(
      source?.slice,
      {
        epoch: firewall.nextEpoch(),
        ...(source === undefined ? {} : releaseState(source.release)),
        now,
        timeTrusted,
        ordersSequence: Number(orders.handlers.orders.version()),
        states,
        conditionsHold: (grant, subject) => answers.get(answerKey(grant, subject)) === true,
      },
      host,
    );
    await firewall.apply(plan, heard);
    inForce = basis;
    planned = { slice: source?.slice, groups: JSON.stringify(cgroups) };
  };
  const replan = createReplan(put, (error) =>
    log.error({ err: error }, 'the firewall did not take the new states; the old rules stay'),
  );
  const refresh = (always = false): void => replan.refresh(always);
  const followGroups = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await parts.clock.sleep(groupLookMs, signal).catch(() => undefined);
      if (!signal.aborted && JSON.stringify(groupsNow(planned.slice)) !== planned.groups) refresh();
    }
  };

  return {
    firewall,
    task: async (signal) => {
      const groups = followGroups(signal);
      while (!signal.aborted) {
        const next = firewall.current()?.nextChange ?? Number.POSITIVE_INFINITY;
        const waitMs = Math.max(minReplanMs, Math.min(maxReplanMs, next - parts.trusted.now()));
        await parts.clock.sleep(waitMs, signal).catch(() => undefined);
        if (!signal.aborted) refresh(true);
      }
      await groups;
    },
    applySlice: async (slice, release, opens) => await replan.replace({ slice, release, opens }),
    refresh,
    island: async (state) => await firewall.island(state),
    blocks: async (blocks, pardons) =>
      await firewall.block(new Map([...blocks].map(([address, { until }]) => [address, until])), pardons),
    pardon: async (request) => await firewall.pardon(request),
    contain: async (change) => {
      const sequence = Number(parts.orders().handlers.orders.version());
      await containAll(change, {
        contain: async (device, containment, streams) =>
          await firewall.contain({ device, containment, sequence, streams }),
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
