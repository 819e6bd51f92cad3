// MQTT operations: actions, topic filters, client ids and bounds. A subscription is an instance of an operation when every
// topic that it could bring lies in one of the operation's filters; a deny is reached by the first that could. Bounds
// (quality, retained, will, shares, sizes, keep-alive) narrow what a grant opens and nothing of what a deny reaches.
import { impliedActions } from '../bundle/mqtt.ts';
import type { SliceInterface, SliceOperation } from '../bundle/slice.ts';
import { sliceError } from './errors.ts';
import { compileJsonRanges, type RangeAnswer } from './json-ranges.ts';
import { MAX_CLIENT_ID_LENGTH } from './limits.ts';
import { type ClientIdPattern, matchesClientId, readClientIdPattern } from './mqtt-client-id.ts';
import { isShareName, readPolicyFilter, readTopicFilter, readTopicName, topicFilterFault } from './mqtt-topic.ts';
import { ascending, noMatch, type MatchOperation } from './operation-match.ts';
import type { MqttRequest } from './request.ts';
import { createTopicTrie } from './topic-trie.ts';

type MqttOperation = Extract<SliceOperation, { protocol: 'mqtt' }>;

interface Rule {
  readonly operation: MqttOperation;
  readonly actions: ReadonlySet<string>;
  readonly clientIds: readonly ClientIdPattern[] | undefined;
  readonly json: (payload: unknown) => RangeAnswer;
}

/** `operations[i]` belongs to index `i`; undefined where the operation is of another protocol. */
export function compileMqtt(entry: SliceInterface, operations: readonly (MqttOperation | undefined)[]): MatchOperation {
  const rules = new Map<number, Rule>();
  const topics = createTopicTrie();
  for (const [index, operation] of operations.entries()) {
    if (operation === undefined) continue;
    rules.set(index, ruleOf(operation));
    for (const text of new Set(operation.topics)) {
      const filter = readPolicyFilter(text);
      if (filter === undefined) throw sliceError(entry.place, `topic filter ${text}: ${topicFilterFault(text)}`);
      topics.add(filter, index);
    }
  }
  const all = [...rules.keys()];
  const kept = (indexes: readonly number[], test: (rule: Rule) => boolean): readonly number[] =>
    ascending(
      indexes.filter((index) => {
        const rule = rules.get(index);
        return rule !== undefined && test(rule);
      }),
    );
  return (request, subject) => {
    if (request.protocol !== 'mqtt') return noMatch;
    const levels = levelsOf(request);
    if (levels === undefined || !isWellFormed(request)) return noMatch;
    const isConnect = request.action === 'connect';
    const sure = isConnect ? all : topics.containing(levels, subject);
    return {
      kind: 'matched',
      sure: kept(sure, (rule) => isInside(request, subject, rule)),
      possible: () =>
        kept(isConnect ? all : topics.touching(levels, subject), (rule) => touches(request, subject, rule)),
    };
  };
}

function ruleOf(operation: MqttOperation): Rule {
  return {
    operation,
    actions: new Set(impliedActions(operation.actions)),
    clientIds: operation.clientIds?.map(readClientIdPattern),
    json: compileJsonRanges(operation.json ?? {}),
  };
}

/** Undefined for a topic that no packet may carry. */
function levelsOf({ action, topic }: MqttRequest): readonly string[] | undefined {
  switch (action) {
    case 'connect':
      return topic === '' ? [] : undefined;
    case 'subscribe':
      return readTopicFilter(topic);
    case 'publish':
    case 'receive':
      return readTopicName(topic);
    default:
      return undefined;
  }
}

function isWellFormed({ clientId, share, qos, retain, will, payloadBytes, keepAliveSeconds }: MqttRequest): boolean {
  return (
    typeof clientId === 'string' &&
    clientId.length <= MAX_CLIENT_ID_LENGTH &&
    clientId.isWellFormed() &&
    !clientId.includes('\0') &&
    (share === undefined || isShareName(share)) &&
    (qos === 0 || qos === 1 || qos === 2) &&
    typeof retain === 'boolean' &&
    typeof will === 'boolean' &&
    Number.isInteger(payloadBytes) &&
    payloadBytes >= 0 &&
    (keepAliveSeconds === undefined || (Number.isInteger(keepAliveSeconds) && keepAliveSeconds >= 0))
  );
}

function isInside(request: MqttRequest, subject: string, rule: Rule): boolean {
  const { operation, actions, clientIds } = rule;
  if (!actions.has(request.action)) return false;
  // Who may connect is never left open.
  if (clientIds === undefined && request.action === 'connect') return false;
  if (clientIds?.some((pattern) => matchesClientId(pattern, request.clientId, subject)) === false) return false;
  if (request.qos > (operation.maxQos ?? 2) || (request.will && !operation.will)) return false;
  switch (request.action) {
    case 'connect':
      return isKeptAlive(request.keepAliveSeconds, operation.maxKeepAliveSeconds);
    case 'subscribe':
      return request.share === undefined || operation.shares.includes(request.share);
    case 'publish':
      return (!request.retain || operation.retain) && isInBounds(request, rule);
    case 'receive':
      return isInBounds(request, rule);
  }
}

function isInBounds({ payloadBytes, json }: MqttRequest, rule: Rule): boolean {
  const { maxPayloadBytes } = rule.operation;
  return (maxPayloadBytes === undefined || payloadBytes <= maxPayloadBytes) && rule.json(json) === 'inside';
}

/** 0 turns the mechanism off (MQTT 5.0, 3.1.2.10). */
function isKeptAlive(seconds: number | undefined, maximum: number | undefined): boolean {
  return maximum === undefined || (seconds !== undefined && seconds > 0 && seconds <= maximum);
}

function touches(request: MqttRequest, subject: string, { actions, clientIds, json }: Rule): boolean {
  if (!actions.has(request.action)) return false;
  // The server chooses an id for who has none: it may be any.
  const mayBe =
    request.clientId === '' ||
    clientIds?.some((pattern) => matchesClientId(pattern, request.clientId, subject)) !== false;
  if (!mayBe) return false;
  return request.action === 'connect' || request.action === 'subscribe' || json(request.json) !== 'outside';
}
