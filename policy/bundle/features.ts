// What a bundle may need of an edge beyond its format. An edge refuses a bundle with a feature it does not know, so an
// old edge never enforces half of a newer policy.
import type { Slice, SliceDeny, SliceGrant, SliceOperation } from './slice.ts';

const rulesOf = (slice: Slice): readonly (SliceGrant | SliceDeny)[] => [...slice.grants, ...slice.denies];
const operationsOf = (slice: Slice): readonly SliceOperation[] =>
  slice.interfaces.flatMap(({ operations }) => operations);
const reads = ({ conditions }: SliceGrant | SliceDeny): boolean => conditions?.attributes !== undefined;

/** Each feature with the test whether a slice uses it. */
const features = {
  http: (slice: Slice) => slice.interfaces.some((entry) => entry.protocol === 'http'),
  modbus: (slice: Slice) => slice.interfaces.some((entry) => entry.protocol === 'modbus'),
  mqtt: (slice: Slice) => slice.interfaces.some((entry) => entry.protocol === 'mqtt'),
  tls: (slice: Slice) => slice.interfaces.some((entry) => entry.protocol === 'tls'),
  'http-bounds': (slice: Slice) =>
    operationsOf(slice).some(
      (operation) =>
        operation.protocol === 'http' && (operation.hosts ?? operation.headers ?? operation.maxBodyBytes) !== undefined,
    ),
  'modbus-bounds': (slice: Slice) =>
    operationsOf(slice).some(
      (operation) =>
        operation.protocol === 'modbus' && (operation.maxQuantity ?? operation.maxChangePerMinute) !== undefined,
    ),
  port: (slice: Slice) => slice.interfaces.some((entry) => entry.protocol === 'port'),
  casbin: (slice: Slice) => slice.casbin.length > 0,
  rego: (slice: Slice) => slice.rego !== undefined,
  conditions: (slice: Slice) => slice.grants.some((grant) => Object.keys(grant.conditions).length > 0),
  attributes: (slice: Slice) => slice.attributes !== undefined || rulesOf(slice).some((rule) => reads(rule)),
  calendar: (slice: Slice) =>
    rulesOf(slice).some((rule) => rule.conditions?.weekdays !== undefined || rule.notBefore !== undefined),
  'deny-conditions': (slice: Slice) =>
    slice.denies.some(
      (deny) => deny.conditions !== undefined || deny.notBefore !== undefined || deny.until !== undefined,
    ),
  rate: (slice: Slice) => slice.grants.some((grant) => grant.rate !== undefined),
  uses: (slice: Slice) => slice.grants.some((grant) => grant.uses !== undefined),
  obligations: (slice: Slice) => slice.grants.some((grant) => grant.obligations !== undefined),
  'break-glass': (slice: Slice) => slice.breakGlass !== undefined,
  denies: (slice: Slice) => slice.denies.length > 0,
  // Not `firewall`: edges of before the tiers know that one, and would read other rules than were written.
  'firewall-tiers': (slice: Slice) => slice.firewall.length > 0,
  'firewall-calendar': (slice: Slice) =>
    slice.firewall.some((rule) => (rule.conditions ?? rule.notBefore ?? rule.until) !== undefined),
  'firewall-limits': (slice: Slice) =>
    slice.firewall.some((rule) => rule.rate !== undefined || rule.maxConnections !== undefined),
  'firewall-names': (slice: Slice) => slice.firewall.some((rule) => rule.names !== undefined),
  'firewall-observe': (slice: Slice) => slice.firewall.some((rule) => rule.observe !== undefined),
  'firewall-through': (slice: Slice) => slice.firewall.some((rule) => rule.direction === 'through'),
  workloads: (slice: Slice) =>
    slice.workloads !== undefined || [...slice.firewall, ...slice.grants].some((rule) => rule.workload !== undefined),
  traps: (slice: Slice) => slice.traps !== undefined,
  meters: (slice: Slice) => slice.meters !== undefined,
  'island-lease': (slice: Slice) => slice.island !== undefined,
  'durable-audit': (slice: Slice) => slice.interfaces.some((entry) => entry.auditDurable),
  'sampled-audit': (slice: Slice) => slice.interfaces.some((entry) => entry.allowsSampled !== undefined),
  'audit-classes': (slice: Slice) => slice.interfaces.some((entry) => entry.auditClasses !== undefined),
  'on-deny': (slice: Slice) => slice.interfaces.some((entry) => entry.onDeny !== undefined),
  open: (slice: Slice) => slice.interfaces.some((entry) => entry.onEnforcerDeath === 'open'),
  hold: (slice: Slice) => slice.interfaces.some((entry) => entry.onEnforcerDeath === 'hold'),
  island: (slice: Slice) => slice.interfaces.some((entry) => entry.operations.some((operation) => operation.island)),
  normalise: (slice: Slice) => slice.interfaces.some((entry) => entry.normalise !== undefined),
  observe: (slice: Slice) => slice.interfaces.some((entry) => entry.observeUntil !== undefined),
} as const;

export type Feature = keyof typeof features;

/** Every feature this version of the program implements. */
export const knownFeatures: readonly Feature[] = Object.keys(features) as Feature[];

/** Sorted; goes into the manifest. */
export function requiredFeatures(slice: Slice): Feature[] {
  return knownFeatures.filter((feature) => features[feature](slice)).sort();
}
