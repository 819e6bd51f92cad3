// What was asked of one interface, in the words of its protocol and bounded: what a person reads before writing policy.
import type { ConnectionInfo, ProxyOperation } from '../protocol.ts';
import {
  MAX_LEARNED_NAME_CHARACTERS,
  MAX_LEARNED_OPERATIONS,
  MAX_LEARNED_RANGES,
  MAX_LEARNED_SUBJECTS,
  MAX_LEARNED_VERBS,
} from '../limits.ts';
import { createNameTree, type NameTree } from './name-tree.ts';
import { type Range, withRange } from './ranges.ts';

interface Seen {
  count: number;
  readonly subjects: Map<string, Set<string>>;
}

export interface LearnedModbus extends Seen {
  readonly protocol: 'modbus';
  readonly functionCode: number;
  readonly unit: number;
  addresses: readonly Range[];
  values: Range | undefined;
  maxQuantity: number;
}

export interface LearnedNames extends Seen {
  readonly protocol: 'mqtt' | 'http' | 'tls';
  /** MQTT action, HTTP method, empty of TLS. */
  readonly verb: string;
  readonly names: NameTree;
  maxQos: 0 | 1 | 2;
  maxPayloadBytes: number;
  retain: boolean;
  will: boolean;
  readonly shares: Set<string>;
  readonly clientIds: Set<string>;
}

export type LearnedOperation = LearnedModbus | LearnedNames;

export interface LearnedInterface {
  readonly name: string;
  readonly operations: ReadonlyMap<string, LearnedOperation>;
  readonly messages: () => number;
  /** Different operations that there was no room for. */
  readonly left: () => number;
  readonly add: (connection: ConnectionInfo, operation: ProxyOperation) => void;
}

/** Stands for the subject's own id in topics and client ids, as in the policy language. */
const ownId = '{device}';

/** `before`: what was learned until the last stop. */
export function createLearnedInterface(
  name: string,
  before: { messages: number; left: number; operations: Map<string, LearnedOperation> } = {
    messages: 0,
    left: 0,
    operations: new Map(),
  },
): LearnedInterface {
  const { operations } = before;
  let { messages, left } = before;
  return {
    name,
    operations,
    messages: () => messages,
    left: () => left,
    add({ subject }, operation) {
      messages++;
      const key = keyOf(operation);
      const known = operations.get(key);
      const most = operation.protocol === 'modbus' ? MAX_LEARNED_OPERATIONS : MAX_LEARNED_VERBS;
      if (known === undefined && operations.size >= most) {
        left++;
        return;
      }
      const seen = known ?? emptyOf(operation);
      if (known === undefined) operations.set(key, seen);
      seen.count++;
      const bindings = seen.subjects.get(subject.id);
      if (bindings !== undefined) bindings.add(subject.binding);
      else if (seen.subjects.size < MAX_LEARNED_SUBJECTS) seen.subjects.set(subject.id, new Set([subject.binding]));
      widen(seen, operation, subject.id);
    },
  };
}

function keyOf(operation: ProxyOperation): string {
  switch (operation.protocol) {
    case 'modbus':
      return `${operation.functionCode}/${operation.unit}`;
    case 'mqtt':
      return operation.action;
    case 'http':
      return operation.method;
    case 'tls':
      return '';
  }
}

function emptyOf(operation: ProxyOperation): LearnedOperation {
  const seen: Seen = { count: 0, subjects: new Map() };
  if (operation.protocol === 'modbus') {
    const { functionCode, unit } = operation;
    return { ...seen, protocol: 'modbus', functionCode, unit, addresses: [], values: undefined, maxQuantity: 0 };
  }
  return {
    ...seen,
    protocol: operation.protocol,
    verb: keyOf(operation),
    names: createNameTree(operation.protocol === 'mqtt' ? '+' : '*'),
    maxQos: 0,
    maxPayloadBytes: 0,
    retain: false,
    will: false,
    shares: new Set(),
    clientIds: new Set(),
  };
}

function widen(seen: LearnedOperation, operation: ProxyOperation, subject: string): void {
  if (seen.protocol === 'modbus') {
    if (operation.protocol !== 'modbus') return;
    const { address, quantity, values } = operation;
    seen.maxQuantity = Math.max(seen.maxQuantity, quantity);
    const last = address + Math.max(quantity, 1) - 1;
    seen.addresses = withRange(seen.addresses, [address, last], MAX_LEARNED_RANGES);
    for (const value of values) {
      const [low, high] = seen.values ?? [value, value];
      if (seen.values === undefined || value < low || value > high) {
        seen.values = [Math.min(low, value), Math.max(high, value)];
      }
    }
    return;
  }
  switch (operation.protocol) {
    case 'modbus':
      return;
    case 'mqtt': {
      const own = (text: string): string => (subject !== '' && text === subject ? ownId : text);
      if (operation.topic !== '') seen.names.add(operation.topic.split('/').map(own));
      if (operation.qos > seen.maxQos) seen.maxQos = operation.qos;
      seen.maxPayloadBytes = Math.max(seen.maxPayloadBytes, operation.payloadBytes);
      seen.retain ||= operation.retain;
      seen.will ||= operation.will;
      if (operation.share !== undefined) addBounded(seen.shares, operation.share);
      addBounded(seen.clientIds, own(operation.clientId));
      return;
    }
    case 'http':
      seen.names.add(pathLevels(operation.path));
      return;
    case 'tls':
      seen.names.add([operation.serverName]);
  }
}

function addBounded(set: Set<string>, text: string): void {
  if (set.size < MAX_LEARNED_SUBJECTS && text.length <= MAX_LEARNED_NAME_CHARACTERS) set.add(text);
}

/** Numbers and identifiers differ from request to request. */
const changing = /^(\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{24,})$/i;

function pathLevels(path: string): string[] {
  const [bare = ''] = path.split('?', 1);
  return bare
    .split('/')
    .slice(1)
    .map((segment) => (changing.test(segment) ? '*' : segment));
}
