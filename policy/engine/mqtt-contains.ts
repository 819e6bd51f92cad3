// Whether one MQTT operation lies inside another, and whether they may share a request, for every subject: `{device}` is
// some id that nobody knows yet.
import { impliedActions, type MqttAction } from '../bundle/mqtt.ts';
import type { SliceOperation } from '../bundle/slice.ts';
import { devicePlaceholder, type FilterLevel, isReserved, readPolicyFilter } from './mqtt-topic.ts';

type MqttOperation = Extract<SliceOperation, { protocol: 'mqtt' }>;
type Filter = readonly FilterLevel[];

export function containsMqtt(outer: MqttOperation, inner: MqttOperation): boolean {
  const actions = impliedActions(inner.actions);
  const filters = filtersOf(outer);
  const inside = filtersOf(inner);
  return (
    actions.every((action) => impliedActions(outer.actions).includes(action)) &&
    inside.length === inner.topics.length &&
    inside.every((filter) => filters.some((candidate) => containsFilter(candidate, filter))) &&
    containsClientIds(outer, inner, actions) &&
    containsBounds(outer, inner)
  );
}

function containsClientIds(outer: MqttOperation, inner: MqttOperation, actions: readonly MqttAction[]): boolean {
  const { clientIds } = outer;
  if (clientIds === undefined) return !actions.includes('connect');
  return inner.clientIds?.every((id) => clientIds.some((pattern) => containsClientId(pattern, id))) === true;
}

function containsClientId(outer: string, inner: string): boolean {
  if (outer === inner) return true;
  return outer.endsWith('*') && (inner.endsWith('*') ? inner.slice(0, -1) : inner).startsWith(outer.slice(0, -1));
}

function containsBounds(outer: MqttOperation, inner: MqttOperation): boolean {
  const within = (most: number | undefined, other: number | undefined): boolean =>
    most === undefined || (other !== undefined && other <= most);
  return (
    (inner.maxQos ?? 2) <= (outer.maxQos ?? 2) &&
    (outer.retain || !inner.retain) &&
    (outer.will || !inner.will) &&
    inner.shares.every((name) => outer.shares.includes(name)) &&
    within(outer.maxPayloadBytes, inner.maxPayloadBytes) &&
    within(outer.maxKeepAliveSeconds, inner.maxKeepAliveSeconds) &&
    Object.entries(outer.json ?? {}).every(([pointer, [low, high]]) => {
      const range = inner.json?.[pointer];
      return range !== undefined && low <= range[0] && range[1] <= high;
    })
  );
}

/** As denies read it (mqtt-operation.ts): bounds and payloads are not looked at. */
export function overlapsMqtt(one: MqttOperation, other: MqttOperation): boolean {
  const actions = impliedActions(one.actions).filter((action) => impliedActions(other.actions).includes(action));
  if (actions.includes('connect')) return true;
  if (actions.length === 0) return false;
  const filters = filtersOf(other);
  return filtersOf(one).some((filter) => filters.some((candidate) => overlapsFilters(candidate, filter)));
}

function filtersOf({ topics }: MqttOperation): readonly Filter[] {
  return topics.flatMap((topic) => {
    const filter = readPolicyFilter(topic);
    return filter === undefined ? [] : [filter];
  });
}

/** Whether every topic of `inner` is one of `outer`. */
export function containsFilter(outer: Filter, inner: Filter): boolean {
  const [first] = inner;
  const hidden = first?.kind === 'literal' && isReserved(first.text);
  if (hidden && (outer[0]?.kind === 'one' || outer[0]?.kind === 'rest')) return false;
  // `+/#` is every topic, as `#` is.
  if (outer.length === 2 && outer[0]?.kind === 'one' && outer[1]?.kind === 'rest') return true;
  for (const [at, level] of outer.entries()) {
    if (level.kind === 'rest') return true;
    const other = inner[at];
    if (other === undefined || other.kind === 'rest') return false;
    if (level.kind !== 'one' && textOf(level) !== textOf(other)) return false;
  }
  return inner.length === outer.length;
}

/** Whether some topic is matched by both; `$` hides nothing. */
export function overlapsFilters(one: Filter, other: Filter): boolean {
  for (let at = 0; at < one.length || at < other.length; at++) {
    const [a, b] = [one[at], other[at]];
    if (a?.kind === 'rest' || b?.kind === 'rest') return true;
    if (a === undefined || b === undefined) return false;
    if (a.kind === 'literal' && b.kind === 'literal' ? a.text !== b.text : !mayBeSame(a, b)) return false;
  }
  return true;
}

/** An id is any text; what stands before and behind it is not. */
function mayBeSame(one: FilterLevel, other: FilterLevel): boolean {
  if (one.kind === 'device' && other.kind === 'literal') return couldBe(one.around, other.text);
  if (one.kind === 'literal' && other.kind === 'device') return couldBe(other.around, one.text);
  return true;
}

function couldBe(around: readonly string[], text: string): boolean {
  const [before = ''] = around;
  const behind = around.at(-1) ?? '';
  return text.startsWith(before) && text.endsWith(behind) && text.length >= before.length + behind.length;
}

/** Undefined for a wildcard, which is no text. */
function textOf(level: FilterLevel): string | undefined {
  if (level.kind === 'literal') return level.text;
  return level.kind === 'device' ? level.around.join(devicePlaceholder) : undefined;
}
