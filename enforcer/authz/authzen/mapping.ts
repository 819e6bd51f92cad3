// What the entities of AuthZEN are here (docs/decisions/0013-authzen-mapping.md): subject a device, resource an interface of
// the policy, action one of its operations by name or an HTTP request. What is something else is nobody and nothing.
import { idPattern } from '../../../policy/bundle/index.ts';
import { type AttributeValue, attributeNames, type Engine, type Operation } from '../../../policy/engine/index.ts';
import { methodFault } from '../http-request.ts';
import type { Assertions, PeerEvidence, Question } from '../question.ts';
import { maxAsserted } from './limits.ts';
import type { Entities } from './messages.ts';
import { fulfilmentOf } from './obligations.ts';

export const subjectType = 'device';
export const resourceType = 'interface';

export interface MappingOptions {
  /** Attributes that the caller may assert, `context.load`; others are ignored. */
  readonly asserts: readonly string[];
  /** Names of custom obligations that the caller and the policy agree upon. */
  readonly custom: readonly string[];
}

type Properties = Readonly<Record<string, unknown>>;

/** `engine` is the one in force: it says whether a request is an instance of the operation that is named with it. */
export function questionOf(
  entities: Entities,
  options: MappingOptions,
  engine: Pick<Engine, 'operationsOf'> | undefined,
): Question {
  const { subject, action, resource, context } = entities;
  const { operation, ambiguous } = operationOf(action);
  const asserted = assertionsOf(entities, options);
  const question: Question = {
    interface: resource.type === resourceType && idPattern.test(resource.id) ? resource.id : '',
    operation,
    peer: peerOf(subject.type, subject.id),
    connection: '',
    source: 'authzen',
    assertions: asserted,
    fulfils: fulfilmentOf(context.supported_obligations, options.custom),
  };
  const doubt = ambiguous ?? mismatch(question, action.name, engine);
  return doubt === undefined ? question : { ...question, ambiguous: doubt };
}

/** Nobody for another type of subject, and for what cannot be a device. */
export function peerOf(type: string, id: string): PeerEvidence {
  return type === subjectType && idPattern.test(id) ? { asserted: id } : {};
}

type Read = { readonly operation: Question['operation']; readonly ambiguous?: string | undefined };

/** Ids of operations are lower case, methods are not (RFC 9110 section 9.1), so that neither is taken for the other. */
const isMethod = (text: string): boolean => /^[A-Z]/.test(text);

function operationOf({ name, properties }: Entities['action']): Read {
  const method = own(properties, 'method');
  const path = own(properties, 'path');
  if (isMethod(name)) {
    if (method !== undefined && method !== name) return request(name, path, 'action.name and properties.method differ');
    return request(name, path);
  }
  if (path !== undefined && typeof method === 'string') return request(method, path);
  return {
    operation: { protocol: 'named', name: idPattern.test(name) ? name : '' },
    ambiguous: path === undefined ? undefined : 'properties.path without properties.method',
  };
}

/** What the engine takes for a path it reads itself. */
function request(method: string, path: unknown, fault?: string): Read {
  const operation = { protocol: 'http', method, path: typeof path === 'string' ? path : '' } as const;
  if (typeof path !== 'string') return { operation, ambiguous: 'a method without properties.path' };
  return { operation, ambiguous: fault ?? methodFault(method) };
}

/** A request that is not what its name says has two readings. */
function mismatch(
  question: Question,
  name: string,
  engine: Pick<Engine, 'operationsOf'> | undefined,
): string | undefined {
  const { operation, assertions } = question;
  if (operation.protocol !== 'http' || operation.method === name) return undefined;
  const device = assertions?.resource[attributeNames.device];
  const names = engine?.operationsOf({
    subject: { id: '', binding: 'svid', state: 'unknown', attributes: {} },
    operation: operation satisfies Operation,
    resource: { interface: question.interface, attributes: device === undefined ? {} : { device: { value: device } } },
    context: { time: 0, source: 'authzen', connection: '', attributes: {} },
  });
  return names?.sure.includes(name) === true ? undefined : 'the request is not surely one of the operation named';
}

function assertionsOf({ subject, resource, context }: Entities, { asserts }: MappingOptions): Assertions {
  const pick = (source: string, said: Properties): Record<string, AttributeValue> => {
    const named = asserts.filter((path) => path.startsWith(`${source}.`)).map((path) => path.slice(source.length + 1));
    const found = named.slice(0, maxAsserted).flatMap((name) => {
      const value = own(said, name);
      return isAttributeValue(value) ? [[name, value] as const] : [];
    });
    return Object.fromEntries(found);
  };
  const device = own(resource.properties, attributeNames.device);
  return {
    subject: pick('subject', subject.properties),
    resource: {
      ...pick('resource', resource.properties),
      // Which of several devices that serve an interface of this name; what is no text is none of them.
      ...(device === undefined ? {} : { [attributeNames.device]: typeof device === 'string' ? device : '' }),
    },
    context: pick('context', context),
  };
}

const own = (said: Properties, name: string): unknown => (Object.hasOwn(said, name) ? said[name] : undefined);

function isAttributeValue(value: unknown): value is AttributeValue {
  if (Array.isArray(value)) return value.every((item) => typeof item === 'string');
  return typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number';
}
