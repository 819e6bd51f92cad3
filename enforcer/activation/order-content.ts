// What an order may say: the fields each verb has, and no other. An order that says more or less is refused whole.
import { idPattern } from '../../policy/bundle/index.ts';
import { type Order, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { activationErrors } from './errors.ts';
import { MAX_BLOCK_MS, MAX_ORDER_DEVICES } from './limits.ts';

/** One device, or many at once with and without an address. */
type Shape = 'device' | 'devices' | 'block' | 'pardon';

const shapes: ReadonlyMap<OrderVerb, Shape> = new Map<OrderVerb, Shape>([
  [OrderVerb.QUARANTINE, 'device'],
  [OrderVerb.RECOVER, 'device'],
  [OrderVerb.RELEASE, 'device'],
  [OrderVerb.REVOKE, 'device'],
  [OrderVerb.ISLAND, 'devices'],
  [OrderVerb.REJOIN, 'devices'],
  [OrderVerb.BLOCK, 'block'],
  [OrderVerb.PARDON, 'pardon'],
]);

/** Whether a text is an IP address in the one spelling that addresses have here. */
export type IsPlainAddress = (text: string) => boolean;

/** Throws ORDERS_INVALID. */
export function requireContent(order: Order, isPlainAddress: IsPlainAddress): void {
  const sequence = Number(order.sequence);
  if (!Number.isSafeInteger(sequence) || sequence < 1) throw invalid('an order without sequence');
  const shape = shapes.get(order.verb);
  if (shape === undefined) throw invalid('an order without verb');
  if (shape === 'device') requireDevice(order);
  else requireDevices(order);
  const addressed = shape === 'block' || shape === 'pardon';
  if (addressed ? !isPlainAddress(order.address) : order.address !== '') throw invalid('an order with a wrong address');
  requireEnd(order, shape);
}

function requireDevice({ deviceId, deviceIds, everyDevice }: Order): void {
  if (!idPattern.test(deviceId) || deviceIds.length > 0 || everyDevice) throw invalid('an order without its device');
}

function requireDevices({ deviceId, deviceIds, everyDevice, verb }: Order): void {
  if (deviceId !== '' || everyDevice === deviceIds.length > 0) throw invalid('an order without its devices');
  if (everyDevice && verb === OrderVerb.ISLAND) throw invalid('an order of island mode that names no device');
  if (deviceIds.length > MAX_ORDER_DEVICES) throw invalid(`an order for ${deviceIds.length} devices`);
  const isSorted = deviceIds.every(
    (id, index) => idPattern.test(id) && (index === 0 || (deviceIds[index - 1] ?? '') < id),
  );
  if (!isSorted) throw invalid('an order whose devices are not sorted, each once');
}

function requireEnd({ issuedAtMs, untilMs }: Order, shape: Shape): void {
  const lasts = Number(untilMs) - Number(issuedAtMs);
  const isRight = shape === 'block' ? lasts > 0 && lasts <= MAX_BLOCK_MS : untilMs === 0n;
  if (!isRight) throw invalid('an order with a wrong end');
}

const invalid = (message: string): Error => activationErrors.error('ORDERS_INVALID', message);
