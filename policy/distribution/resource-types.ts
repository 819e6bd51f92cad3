// The resource types of the one stream: what each is called, which of an edge's two streams carries it, and in which
// order they are sent (design section 3, Distribution). A test checks that no type of the contract is without a row.
import { ResourceType } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';

/** The two Connect calls of an edge: `orders` is small and first, `bulk` may wait. */
export type Lane = 'orders' | 'bulk';

export interface ResourceTypeRow {
  readonly name: string;
  readonly lane: Lane;
  /** Sent in this order when several wait on one stream; 0 is first. */
  readonly priority: number;
  readonly acknowledged: boolean;
  /** Bytes of a payload that an edge accepts. */
  readonly maxPayloadBytes: number;
}

const MiB = 1024 * 1024;

export const resourceTypes: ReadonlyMap<ResourceType, ResourceTypeRow> = new Map<ResourceType, ResourceTypeRow>([
  [ResourceType.ORDERS, { name: 'orders', lane: 'orders', priority: 0, acknowledged: true, maxPayloadBytes: 3 * MiB }],
  [ResourceType.TIME, { name: 'time', lane: 'orders', priority: 1, acknowledged: false, maxPayloadBytes: 4096 }],
  [
    ResourceType.REVOCATIONS,
    { name: 'revocations', lane: 'orders', priority: 2, acknowledged: true, maxPayloadBytes: 3 * MiB },
  ],
  [
    ResourceType.DEVICE_STATE,
    { name: 'device-state', lane: 'orders', priority: 3, acknowledged: true, maxPayloadBytes: 3 * MiB },
  ],
  [
    ResourceType.TRUST_BUNDLE,
    { name: 'trust-bundle', lane: 'bulk', priority: 4, acknowledged: true, maxPayloadBytes: MiB },
  ],
  [ResourceType.POLICY, { name: 'policy', lane: 'bulk', priority: 5, acknowledged: true, maxPayloadBytes: MiB }],
  [ResourceType.INTEL, { name: 'intel', lane: 'bulk', priority: 6, acknowledged: true, maxPayloadBytes: 3 * MiB }],
  [ResourceType.MODEL, { name: 'model', lane: 'bulk', priority: 7, acknowledged: true, maxPayloadBytes: 3 * MiB }],
]);

/** `orders`, `policy` …; a number the contract does not have is shown as such. */
export function resourceTypeName(type: ResourceType): string {
  return resourceTypes.get(type)?.name ?? `type ${type}`;
}

/** Types in the order in which they are sent. */
export function inPriority(types: Iterable<ResourceType>): ResourceType[] {
  return [...types].toSorted(
    (left, right) => (resourceTypes.get(left)?.priority ?? 99) - (resourceTypes.get(right)?.priority ?? 99),
  );
}
