// Denied packets as events: what the kernel logged becomes one event per second and kind of denial, with a count, and
// every packet that it could not hand over is counted too.
import { openNflog } from '../../runtime/linux-nflog.ts';
import type { LoggedPacket, NflogHandlers, NflogReader } from '../../runtime/linux-nflog.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Task } from '../../runtime/tasks.ts';
import type { EmitEvent, NewEvent } from '../../audit/spool/index.ts';
import { firewallErrors } from './errors.ts';
import { AGGREGATION_MS, MAX_DISTINCT_DENIALS } from './limits.ts';
import { LOG_GROUP } from './plan.ts';
import type { FirewallPlan, PlanRelease } from './plan.ts';
import { isReflexRule } from './reflex.ts';
import { observedInterface, originOf } from './provenance.ts';

export interface DenialParts {
  readonly emit: EmitEvent;
  readonly clock: Clock;
  readonly log: Logger;
  /** The plans that are loaded, newest first: whose address it was, and which line of policy said no. */
  readonly plans: () => readonly FirewallPlan[];
  /** A packet met a trap or a meter, and its source is blocked from now on. */
  readonly blocked?: (address: string, rule: string) => void;
  /** Replaces the kernel's NFLOG in tests. */
  readonly open?: (handlers: NflogHandlers) => NflogReader;
}

/** What one second held of one kind of denial. */
interface Pile {
  readonly data: NewEvent['data'];
  readonly rule: string;
  count: number;
}

/**
 * Denials of one window, told apart by rule, addresses, protocol, service port and interface as long as there are not
 * too many; then by rule and source, then by rule. Counts stay exact.
 */
export class DenialWindow {
  readonly #piles = new Map<string, Pile>();

  add(packet: LoggedPacket, plans: readonly FirewallPlan[]): void {
    const rule = packet.prefix.replace(/^ew:/, '');
    const network = packet.network;
    const service = network?.destinationPort ?? -1;
    const full = [
      rule,
      network?.source,
      network?.destination,
      network?.protocol,
      service,
      packet.inInterface,
      packet.outInterface,
    ].join('|');
    if (this.#piles.has(full) || this.#piles.size < MAX_DISTINCT_DENIALS) {
      this.#pile(full, rule, () => describe(packet, rule, plans)).count += 1;
      return;
    }
    const bySource = `${rule}|${network?.source}`;
    if (this.#piles.has(bySource) || this.#piles.size < 2 * MAX_DISTINCT_DENIALS) {
      const data = (): NewEvent['data'] => {
        const whole = describe(packet, rule, plans);
        const kept = new Set(['source_ip', 'in_interface', 'subject']);
        const who = Object.fromEntries(Object.entries(whole).filter(([name]) => kept.has(name)));
        return { ...provenance(rule, plans), ...who };
      };
      this.#pile(bySource, rule, data).count += 1;
      return;
    }
    this.#pile(rule, rule, () => provenance(rule, plans)).count += 1;
  }

  /** The events of the window, which is empty afterwards. */
  take(): NewEvent[] {
    const events = [...this.#piles.values()].map(({ rule, data, count }): NewEvent => ({
      kind: 'packet',
      activity: originOf([], rule).activity,
      severity: severityOf(rule),
      data: { ...data, count },
    }));
    this.#piles.clear();
    return events;
  }

  #pile(key: string, rule: string, data: () => NewEvent['data']): Pile {
    const known = this.#piles.get(key);
    if (known !== undefined) return known;
    const fresh = { data: data(), rule, count: 0 };
    this.#piles.set(key, fresh);
    return fresh;
  }
}

/** The rule, the line that says it, the commit and whose that is. */
function provenance(rule: string, plans: readonly FirewallPlan[]): NewEvent['data'] {
  const { decision, observed, place, release } = originOf(plans, rule);
  return {
    rule,
    place,
    ...(decision === undefined ? {} : { decision }),
    ...(observed === undefined ? {} : { observed }),
    ...(release === undefined
      ? {}
      : { version: plans.find((plan) => plan.release === release)?.bundle ?? 0, ...publication(release) }),
  };
}

const publication = ({ commit, author, publisher }: PlanRelease): NewEvent['data'] => ({
  commit,
  ...(author === '' ? {} : { author }),
  key: publisher,
});

/** A forged source is an act; what a contained device still tries is a sign; the rest is the noise of default deny. */
function severityOf(rule: string): NonNullable<NewEvent['severity']> {
  if (rule === 'spoofed') return 'high';
  return rule === 'revoked' || rule === 'quarantined' ? 'medium' : 'low';
}

function describe(packet: LoggedPacket, rule: string, plans: readonly FirewallPlan[]): NewEvent['data'] {
  const { network } = packet;
  const [plan] = plans;
  const observed =
    rule === 'observe' ? observedInterface(plan, network?.protocol ?? '', network?.destinationPort) : undefined;
  const outgoing = packet.inInterface === '';
  return {
    ...provenance(rule, plans),
    ...(observed === undefined ? {} : { interface: observed, place: plan?.places[`interface:${observed}`] ?? '' }),
    subject: outgoing ? (plan?.device ?? '') : deviceAt(plan, network?.source),
    in_interface: packet.inInterface,
    ...(packet.outInterface === '' ? {} : { out_interface: packet.outInterface }),
    ...(packet.hardwareSource === undefined ? {} : { source_mac: packet.hardwareSource }),
    source_ip: network?.source ?? '',
    destination_ip: network?.destination ?? '',
    protocol: network?.protocol ?? '',
    ...(network?.sourcePort === undefined ? {} : { source_port: network.sourcePort }),
    ...(network?.destinationPort === undefined ? {} : { destination_port: network.destinationPort }),
  };
}

/** Device id of the inventory for an address; empty when it is nobody's. A spoofed source names the victim: see the rule. */
function deviceAt(plan: FirewallPlan | undefined, address: string | undefined): string {
  if (plan === undefined || address === undefined) return '';
  return deviceIndex(plan).get(address) ?? '';
}

const indexes = new WeakMap<FirewallPlan, ReadonlyMap<string, string>>();

function deviceIndex(plan: FirewallPlan): ReadonlyMap<string, string> {
  const known = indexes.get(plan);
  if (known !== undefined) return known;
  const index = new Map(
    Object.entries(plan.peers).flatMap(([device, peer]) => peer.addresses.map((address) => [address, device])),
  );
  indexes.set(plan, index);
  return index;
}

/**
 * The task that turns denials into events until its signal aborts; the last window is emitted then too. A reader that
 * fails (another program took the group) ends the task with FIREWALL_LOG; packets stay denied all the same.
 */
export function watchDenials(parts: DenialParts): Task {
  return async (signal) => {
    const window = new DenialWindow();
    let lost = 0;
    let fault: { error: unknown } | undefined;
    const handlers: NflogHandlers = {
      packet: (packet) => {
        window.add(packet, parts.plans());
        const rule = packet.prefix.replace(/^ew:/, '');
        const source = packet.network?.source;
        if (source !== undefined && isReflexRule(rule)) parts.blocked?.(source, rule);
      },
      lost: (count) => {
        lost += count;
      },
      fault: (error) => {
        fault = { error };
      },
    };
    const reader = (parts.open ?? ((own) => openNflog({ group: LOG_GROUP }, own)))(handlers);
    const flush = async (): Promise<void> => {
      const events = window.take();
      if (lost > 0) {
        events.push({ kind: 'packet', activity: 'lost', severity: 'medium', data: { lost, count: lost } });
        lost = 0;
      }
      await Promise.all(events.map((event) => parts.emit(event)));
    };
    try {
      while (!signal.aborted) {
        await parts.clock.sleep(AGGREGATION_MS, signal).catch(() => undefined);
        await flush();
        if (fault !== undefined) {
          throw firewallErrors.error('FIREWALL_LOG', 'denied packets cannot be read any more', { cause: fault.error });
        }
      }
    } finally {
      reader.close();
      await flush();
      parts.log.debug({ ...reader.counts() }, 'packet denials no longer read');
    }
  };
}
