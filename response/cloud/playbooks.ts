// Executes playbooks on findings, within what a machine may do alone: a cap on how much it contains at once, two
// independent signals for a device labelled safety, never on late evidence. Every action has one row, so that judging a
// finding again acts once.
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Database } from '../../store/database.ts';
import { maxContainedByReporter, maxContainedShare, minContained, twoSignalWindowMs } from '../limits.ts';
import type { Playbook } from '../playbook.ts';
import type { Devices, EmitResponseEvent } from './devices.ts';
import type { ResponseTables } from './migrations.ts';
import * as queries from './queries.ts';

/** A finding as response needs it; detection declares its own. */
export interface FindingSignal {
  readonly id: string;
  readonly ruleId: string;
  readonly title: string;
  readonly level: string;
  readonly device: string;
  readonly reporter: string;
  readonly foundAt: number;
  readonly retro: boolean;
  /** The evidence names the device as its subject; a reporter may be the victim. */
  readonly attributed: boolean;
}

export interface PlaybookPorts {
  readonly db: Database;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly devices: Pick<Devices, 'apply' | 'list' | 'get'>;
  /** Playbooks of the current release. */
  readonly playbooks: () => readonly Playbook[];
  /** Devices of the current inventory with their labels. */
  readonly inventory: () => Promise<
    readonly { readonly id: string; readonly labels: Readonly<Record<string, string>> }[]
  >;
  /** Open findings on a device: for the second signal, and for who accused whom. */
  readonly findingsOn: (device: string) => Promise<readonly FindingSignal[]>;
  readonly emit: EmitResponseEvent;
}

type Verdict = { readonly act: true } | { readonly act: false; readonly why: string };

export type Playbooks = ReturnType<typeof createPlaybooks>;

export function createPlaybooks(ports: PlaybookPorts) {
  const { db, trustDomain } = ports;
  const tables = db.withTables<ResponseTables>();

  async function onFinding(finding: FindingSignal): Promise<void> {
    for (const playbook of ports.playbooks()) {
      if (!playbook.levels.includes(finding.level)) continue;
      if (playbook.rules.length > 0 && !playbook.rules.includes(finding.ruleId)) continue;
      if (playbook.actions.includes('contain')) await contain(playbook, finding);
    }
  }

  async function contain(playbook: Playbook, finding: FindingSignal): Promise<void> {
    const verdict = await mayContain(finding);
    const id = `${finding.id}/${playbook.id}`;
    // A refusal is recorded once under its own id and does not stand in the way of acting when a second signal comes.
    const rowId = verdict.act ? id : `${id}/refused`;
    const isFirst = await queries.addAction(tables, {
      trust_domain: trustDomain,
      id: rowId,
      playbook_id: playbook.id,
      finding_id: finding.id,
      action: 'contain',
      device_id: finding.device,
      state: verdict.act ? 'pending' : 'refused',
      why: verdict.act ? finding.title : verdict.why,
      at: ports.clock.now(),
      order_sequence: 0,
    });
    if (!verdict.act) {
      if (isFirst) await reportRefusal(finding, playbook, verdict.why);
      return;
    }
    if (!isFirst && !(await isPending(rowId))) return;
    await execute(rowId, playbook, finding);
  }

  async function execute(rowId: string, playbook: Playbook, finding: FindingSignal): Promise<void> {
    try {
      const { orderSequence } = await ports.devices.apply({
        deviceId: finding.device,
        event: 'quarantined',
        cause: `${finding.title} (${finding.id})`,
        by: `playbook ${playbook.name}`,
      });
      await queries.updateAction(tables, trustDomain, rowId, {
        state: 'done',
        why: finding.title,
        order_sequence: orderSequence,
      });
    } catch (error) {
      // A refusal of the state machine is final; anything else leaves the row pending and is tried again.
      if (!(error instanceof CodedError) || error.status === 'UNAVAILABLE') throw error;
      await queries.updateAction(tables, trustDomain, rowId, {
        state: 'refused',
        why: error.message,
        order_sequence: 0,
      });
    }
  }

  async function isPending(rowId: string): Promise<boolean> {
    return (await queries.listActions(tables, trustDomain)).some((row) => row.id === rowId && row.state === 'pending');
  }

  async function mayContain(finding: FindingSignal): Promise<Verdict> {
    if (!finding.attributed)
      return { act: false, why: 'the evidence names no established subject; its reporter may be the victim' };
    if (finding.retro) return { act: false, why: 'late evidence never starts a live response' };
    const inventory = await ports.inventory();
    const known = inventory.find((device) => device.id === finding.device);
    if (known === undefined) return { act: false, why: `${finding.device} is not a device of the inventory` };
    if (known.labels['safety'] === 'true' && !(await hasSecondSignal(finding))) {
      return { act: false, why: 'a safety device needs two independent signals' };
    }
    const contained = (await ports.devices.list()).filter((device) => device.state === 'quarantined');
    if (contained.some((device) => device.deviceId === finding.device)) return { act: true };
    const cap = Math.max(minContained, Math.floor(inventory.length * maxContainedShare));
    if (contained.length >= cap)
      return { act: false, why: `${contained.length} devices are contained already; playbooks may contain ${cap}` };
    if ((await containedOnWordOf(finding, contained)) >= maxContainedByReporter) {
      return { act: false, why: `${finding.reporter} alone had ${maxContainedByReporter} devices contained already` };
    }
    return { act: true };
  }

  /** How many of the contained devices the finding's reporter accuses; counting stops at the limit. */
  async function containedOnWordOf(
    { reporter, device }: FindingSignal,
    contained: readonly { readonly deviceId: string }[],
  ): Promise<number> {
    if (reporter === device) return 0;
    let count = 0;
    for (const { deviceId } of contained) {
      if (count >= maxContainedByReporter) break;
      if (deviceId === reporter) continue;
      const accused = await ports.findingsOn(deviceId);
      if (accused.some((other) => other.attributed && !other.retro && other.reporter === reporter)) count += 1;
    }
    return count;
  }

  /** Another rule, reported by another device, within the window; a finding that could not contain alone is no witness. */
  async function hasSecondSignal(finding: FindingSignal): Promise<boolean> {
    const others = await ports.findingsOn(finding.device);
    return others.some(
      (other) =>
        other.attributed &&
        !other.retro &&
        other.ruleId !== finding.ruleId &&
        other.reporter !== finding.reporter &&
        Math.abs(other.foundAt - finding.foundAt) <= twoSignalWindowMs,
    );
  }

  async function reportRefusal(finding: FindingSignal, playbook: Playbook, why: string): Promise<void> {
    await ports.emit({
      kind: 'order',
      activity: 'refuse',
      severity: 'medium',
      data: { device: finding.device, message: `${playbook.name}: ${why}`, finding: finding.id },
    });
  }

  return { onFinding, list: async () => await queries.listActions(tables, trustDomain) };
}
