// Notice and respond: findings from the log, playbooks on findings, and findings on their way out.
import {
  createDetection,
  createFindingDelivery,
  createFindings,
  createReview,
  type Finding,
  type Findings,
  syslog,
  webhook,
} from '../../audit/detect/cloud/index.ts';
import { eventSchema } from '../../audit/spool/index.ts';
import { controlDevice } from '../../audit/cloud/index.ts';
import { MAX_BLOCK_MS, MAX_ORDER_DEVICES, MAX_ORDERED_BLOCKS } from '../../enforcer/activation/index.ts';
import { plainAddress } from '../../enforcer/firewall/index.ts';
import {
  createDevices,
  createPlaybooks,
  createReports,
  createSites,
  type Devices,
  type Reports,
  type Sites,
} from '../../response/cloud/index.ts';
import { createSliceDevices, type Publications } from '../../policy/cloud/index.ts';
import { createAccusations } from './accusations.ts';
import type { ControlConfig } from './config.ts';
import type { Ground } from './ground.ts';
import type { PolicyWiring, ReleaseInForce } from './wire-policy.ts';

export function wireDevices(
  { db, trustDomain, clock, sign, log, events }: Ground,
  inInventory: PolicyWiring['inInventory'],
): { findings: Findings; responses: Devices } {
  const findings = createFindings({ db, trustDomain, clock });
  const responses = createDevices({
    db,
    trustDomain,
    clock,
    sign,
    emit: async (event) => await log.emit(event),
    changed: (what) => events.changed(what),
    inInventory,
    openFindings: async (deviceId, since) => await findings.openSince(deviceId, since),
  });
  return { findings, responses };
}

export function wireDetection(
  ground: Ground,
  { inForce, publications }: { readonly inForce: ReleaseInForce; readonly publications: Publications },
  findings: Findings,
  responses: Devices,
) {
  const { config, db, trustDomain, clock, logger, log, events } = ground;
  const playbooks = createPlaybooks({
    db,
    trustDomain,
    clock,
    devices: responses,
    playbooks: () => inForce.playbooks,
    inventory: () => Promise.resolve(inForce.release?.devices ?? []),
    findingsOn: async (device) => await findings.list({ state: 'open', limit: 1_000, device }),
    emit: async (event) => await log.emit(event),
  });
  const read = async (from: number, limit: number) =>
    (await log.reader.read(from, limit)).map((entry) => ({ ...entry, receivedAt: entry.receivedAtMs }));
  const review = createReview({ findings, read, emit: async (event) => await log.emit(event) });
  const delivery = createFindingDelivery({ targets: targetsOf(config), clock, log: logger });
  const detection = createDetection({
    clock,
    log: logger,
    findings,
    detector: () => inForce.detector,
    read,
    mayAccuse: createAccusations({
      release: () => inForce.release,
      stateOf: async (deviceId) => (await responses.get(deviceId))?.state,
      sliceOf: createSliceDevices(publications),
    }),
    onFinding: async (finding, isNew) => {
      await playbooks.onFinding(finding);
      if (!isNew) return;
      await log.emit(findingEvent(finding));
      delivery.enqueue(finding);
      events.reappraise(finding.device);
    },
  });
  log.onStored(() => detection.wake());
  return { playbooks, review, delivery, detection };
}

/** Orders for many devices, and what edges say of them. */
export function wireSites(
  { db, trustDomain, clock, sign, log, logger, events }: Ground,
  inForce: ReleaseInForce,
): { sites: Sites; reports: Reports } {
  const bounds = { devices: MAX_ORDER_DEVICES, blockMs: MAX_BLOCK_MS, blocks: MAX_ORDERED_BLOCKS };
  const plain = (text: string): string => plainAddress(text).text;
  const sites = createSites({
    db,
    trustDomain,
    clock,
    sign,
    emit: async (event) => await log.emit(event),
    changed: (what) => events.changed(what),
    inventory: () => Promise.resolve(inForce.release?.devices ?? []),
    plainAddress: plain,
    bounds,
  });
  const reports = createReports({
    db,
    trustDomain,
    clock,
    log: logger,
    plainAddress: plain,
    bounds,
    read: async (from, limit) => {
      const entries = await log.reader.read(from, limit);
      const records = entries.flatMap(({ index, deviceId, payload }) => {
        const event = deviceId === controlDevice ? undefined : eventOf(payload);
        return event === undefined ? [] : [{ index, deviceId, event }];
      });
      return { records, next: entries.at(-1) === undefined ? from : (entries.at(-1)?.index ?? 0) + 1 };
    },
  });
  log.onStored(() => reports.wake());
  return { sites, reports };
}

/** undefined for what is no event: it is in the log all the same. */
function eventOf(payload: Uint8Array) {
  try {
    return eventSchema.parse(JSON.parse(Buffer.from(payload).toString('utf8')));
  } catch {
    return undefined;
  }
}

function findingEvent(finding: Finding) {
  return {
    kind: 'finding' as const,
    activity: 'open',
    severity: finding.level === 'informational' ? ('info' as const) : finding.level,
    data: {
      finding: finding.id,
      rule: finding.ruleId,
      message: finding.title,
      device: finding.device,
      count: finding.count,
      evidence: [...finding.evidence],
    },
  };
}

const targetsOf = (config: ControlConfig) => ({
  ...(config.findings.webhook === undefined ? {} : { webhook: webhook(config.findings.webhook) }),
  ...(config.findings.syslog === undefined ? {} : { syslog: syslog(config.findings.syslog) }),
});
