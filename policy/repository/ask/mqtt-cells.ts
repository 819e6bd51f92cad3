// MQTT requests of one subject that stand for all of them: topics by topic-cells.ts, and on each side of every bound one
// value. Exact, unless a Casbin model or a Rego package reads topics or payloads itself.
import { impliedActions, type MqttAction, mqttActions } from '../../bundle/mqtt.ts';
import type { SliceOperation } from '../../bundle/slice.ts';
import { devicePlaceholder, isTopicLevel } from '../../engine/mqtt-topic.ts';
import type { MqttRequest } from '../../engine/index.ts';
import { MAX_MQTT_CELLS, MAX_PATH_SETS } from '../../limits.ts';
import type { OperationCells } from './operation-cells.ts';
import { walkTopics } from './topic-cells.ts';

type MqttOperation = Extract<SliceOperation, { protocol: 'mqtt' }>;

const usualKeepAliveSeconds = 60;

export function mqttCells(
  operations: readonly MqttOperation[],
  read: readonly MqttOperation[],
  subject: string,
): OperationCells {
  const gaps = new Set<string>();
  const cells = mqttActions.flatMap((action) => {
    const concerned = operations.filter((operation) => impliedActions(operation.actions).includes(action));
    return cellsOf(action, concerned, subject, gaps);
  });
  if (read.length > 0) {
    gaps.add('topics, payloads and user names are samples where a Casbin model or a Rego package reads them');
  }
  return { cells, gaps: [...gaps] };
}

function cellsOf(
  action: MqttAction,
  operations: readonly MqttOperation[],
  subject: string,
  gaps: Set<string>,
): MqttRequest[] {
  const filters = operations.flatMap(({ topics }) =>
    topics.flatMap((topic) => {
      if (!topic.includes(devicePlaceholder)) return [topic];
      return isTopicLevel(subject) ? [topic.replaceAll(devicePlaceholder, () => subject)] : [];
    }),
  );
  const isConnect = action === 'connect';
  const walk = isConnect ? { topics: [''], complete: true } : walkTopics(filters, action === 'subscribe');
  if (!walk.complete) gaps.add(`more than ${MAX_PATH_SETS} different places in the topic filters`);
  const base: MqttRequest = {
    protocol: 'mqtt',
    action,
    clientId: subject,
    topic: '',
    qos: 0,
    retain: false,
    will: false,
    payloadBytes: 0,
    version: 4,
  };
  const carries = action === 'publish' || action === 'receive';
  const dimensions: readonly (readonly Partial<MqttRequest>[])[] = [
    walk.topics.map((topic) => ({ topic })),
    clientIdsOf(operations, subject).map((clientId) => ({ clientId })),
    isConnect ? keepAlivesOf(operations).map((keepAliveSeconds) => ({ keepAliveSeconds })) : [{}],
    isConnect ? [{}] : qualitiesOf(operations).map((qos) => ({ qos })),
    action === 'publish' ? [{ retain: false }, { retain: true }] : [{}],
    action === 'publish' || isConnect ? [{ will: false }, { will: true }] : [{}],
    action === 'subscribe' ? [{}, ...sharesOf(operations).map((share) => ({ share }))] : [{}],
    carries ? sizesOf(operations).map((payloadBytes) => ({ payloadBytes })) : [{}],
    carries ? payloadsOf(operations, gaps) : [{}],
  ];
  let cells: MqttRequest[] = [base];
  for (const values of dimensions) {
    if (cells.length * values.length > MAX_MQTT_CELLS) {
      gaps.add(`more than ${MAX_MQTT_CELLS} requests of MQTT ${action} for one subject`);
      cells = cells.map((cell) => ({ ...cell, ...values[0] }));
    } else cells = cells.flatMap((cell) => values.map((value) => ({ ...cell, ...value })));
  }
  return cells;
}

/** Each that is listed, none, and one that nobody lists; where no operation asks, the subject's own alone. */
function clientIdsOf(operations: readonly MqttOperation[], subject: string): string[] {
  const listed = operations.flatMap(({ clientIds }) => clientIds ?? []);
  if (listed.length === 0) return [subject];
  const ids = listed.map((id) => id.replaceAll(devicePlaceholder, () => subject));
  let fresh = 'a-client-nobody-knows';
  while (ids.some((id) => fresh.startsWith(id.replace(/\*$/, '')) && id !== '')) fresh = `x${fresh}`;
  const prefixes = ids.filter((id) => id.endsWith('*')).map((id) => id.slice(0, -1));
  return [
    ...new Set([
      subject,
      ...ids.filter((id) => !id.endsWith('*')),
      ...prefixes.map((id) => `${id}x`),
      ...prefixes,
      '',
      fresh,
    ]),
  ];
}

function keepAlivesOf(operations: readonly MqttOperation[]): number[] {
  const most = operations.flatMap(({ maxKeepAliveSeconds }) => maxKeepAliveSeconds ?? []);
  return [...new Set([usualKeepAliveSeconds, 0, ...most.flatMap((seconds) => [seconds, seconds + 1])])];
}

function qualitiesOf(operations: readonly MqttOperation[]): (0 | 1 | 2)[] {
  const most = new Set(operations.flatMap(({ maxQos }) => maxQos ?? []));
  return [0, ...(most.has(0) ? [1 as const] : []), ...(most.has(1) ? [2 as const] : [])];
}

function sharesOf(operations: readonly MqttOperation[]): string[] {
  const named = new Set(operations.flatMap(({ shares }) => shares));
  let fresh = 'a-share-nobody-knows';
  while (named.has(fresh)) fresh += 'x';
  return [...named, fresh];
}

function sizesOf(operations: readonly MqttOperation[]): number[] {
  const most = operations.flatMap(({ maxPayloadBytes }) => maxPayloadBytes ?? []);
  return [...new Set([0, ...most.flatMap((bytes) => [bytes, bytes + 1])])];
}

/** Payloads most that are put together from the numbers at each pointer. */
const MAX_PAYLOADS = 256;

/** None, and every combination of what may stand at the pointers that some operation bounds. */
function payloadsOf(operations: readonly MqttOperation[], gaps: Set<string>): Partial<MqttRequest>[] {
  const ranges = operations.flatMap(({ json }) => Object.entries(json ?? {}));
  const pointers = Map.groupBy(ranges, ([pointer]) => pointer);
  let payloads: ReadonlyMap<string, number>[] = [new Map()];
  for (const [pointer, found] of pointers) {
    const numbers = numbersOf(found.map(([, range]) => range));
    if (payloads.length * (numbers.length + 1) > MAX_PAYLOADS) {
      gaps.add(`more than ${MAX_PAYLOADS} different payloads`);
      break;
    }
    payloads = payloads.flatMap((payload) => [
      payload,
      ...numbers.map((number) => new Map([...payload, [pointer, number] as const])),
    ]);
  }
  const documents = payloads.filter(({ size }) => size > 0).flatMap((payload) => documentOf(payload) ?? []);
  return [{}, ...documents.map((json) => ({ json }))];
}

/** One between any two ends that follow on each other, the ends, and one on either side. */
function numbersOf(ranges: readonly (readonly [number, number])[]): number[] {
  const ends = [...new Set(ranges.flat())].sort((a, b) => a - b);
  const between = ends.slice(1).map((end, index) => (end + (ends[index] ?? end)) / 2);
  return [...new Set([...ends, ...between, (ends[0] ?? 0) - 1, (ends.at(-1) ?? 0) + 1])];
}

/** Undefined where one pointer leads through the number of another. */
function documentOf(numbers: ReadonlyMap<string, number>): unknown {
  const root: { [name: string]: unknown } = {};
  for (const [pointer, number] of numbers) {
    const path = pointer.split('/').map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
    let at = root;
    for (const token of path.slice(0, -1)) {
      const next = Object.hasOwn(at, token) ? at[token] : {};
      if (typeof next !== 'object' || next === null) return undefined;
      Object.defineProperty(at, token, { value: next, enumerable: true, configurable: true, writable: true });
      at = next as typeof root;
    }
    const last = path.at(-1) ?? '';
    if (Object.hasOwn(at, last)) return undefined;
    Object.defineProperty(at, last, { value: number, enumerable: true, configurable: true, writable: true });
  }
  return root[''];
}
