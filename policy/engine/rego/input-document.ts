// What a Rego package sees as `input`, and a Casbin model that asks for objects. Always an object; what is missing, stale or mistyped by its schema, dated in the
// future or no value at all is absent, never null; only what a payload of MQTT says is null is null.
//
//   subject    id, state, binding
//              attributes.<name>   the value; attestation is "none", without date, in a state that contradicts the
//              last appraisal
//              as_of.<name>        when it was known, milliseconds since the epoch; absent for what came with the request
//   operation  protocol; name: the operation of the interface that a grant opened
//              http    method; path, decoded and without query; segments of the path
//              modbus  unit; function_code; function: its name; address; quantity; values: written, in order
//              mqtt    action; client_id; topic, of subscribe its filter; levels of it; share, json, keep_alive_seconds and
//                      user_name where there are any; qos; retain; will; payload_bytes; version
//              tls     server_name, in lower case; alpn
//   resource   interface, device, attributes.<name>, as_of.<name>
//   context    time (milliseconds since the epoch, the edge's trusted clock) unless it is not trusted, source, connection
//              unless unknown,
//              attributes.<name>, as_of.<name>
import { attribute, attributeNames, attributePath, compileReader, type AttributeReader } from '../attributes.ts';
import { modbusFunctionName } from '../casbin-request.ts';
import type { CasbinAttributes } from '../casbin/value.ts';
import type { AttributeSchemas } from '../conditions.ts';
import { readPath } from '../http-path.ts';
import type { AccessRequest, Attribute, AttributeValue, MqttRequest, Operation } from '../request.ts';

export interface RegoQuestion {
  readonly request: AccessRequest;
  /** Name of the operation of the interface. */
  readonly operation: string;
  /** Device that serves the interface. */
  readonly device: string;
  /** Attestation counts as `none` in this state of the subject. */
  readonly unattested: boolean;
}

type Readers = ReadonlyMap<string, AttributeReader>;

/** Attributes are read as `schemas` say; those without one by their age alone. */
export function compileInput(schemas: AttributeSchemas): (question: RegoQuestion) => InputDocument {
  const readers = new Map([...schemas.values()].map((schema) => [attributePath(schema), compileReader(schema)]));
  return (question) => inputDocument(question, readers);
}

/** Attributes are texts, numbers, booleans and lists of texts. */
export interface InputDocument {
  readonly subject: CasbinAttributes;
  readonly operation: object;
  readonly resource: CasbinAttributes;
  readonly context: CasbinAttributes;
}

function inputDocument({ request, operation, device, unattested }: RegoQuestion, readers: Readers): InputDocument {
  const { subject, resource, context } = request;
  const { time, timeFloor, source, connection } = context;
  const about = attributesOf('subject', request, readers);
  if (unattested && Object.hasOwn(about.attributes, attributeNames.attestation)) {
    about.attributes[attributeNames.attestation] = 'none';
    delete about.as_of[attributeNames.attestation];
  }
  return {
    subject: { id: subject.id, state: subject.state, binding: subject.binding, ...about },
    operation: { name: operation, ...operationOf(request.operation) },
    resource: { interface: resource.interface, device, ...attributesOf('resource', request, readers) },
    context: {
      ...(timeFloor === undefined ? { time } : {}),
      source,
      ...(connection === '' ? {} : { connection }),
      ...attributesOf('context', request, readers),
    },
  };
}

interface Known {
  readonly attributes: Record<string, AttributeValue>;
  readonly as_of: Record<string, number>;
}

function attributesOf(source: 'subject' | 'resource' | 'context', request: AccessRequest, readers: Readers): Known {
  const { attributes } = request[source];
  const known: [string, Attribute][] = Object.keys(attributes).flatMap((name) => {
    const fault = readers.get(attributePath({ source, name }))?.fault(request);
    const found = fault === undefined ? attribute(attributes, name, request.context.time) : undefined;
    return found !== undefined && isDate(found.asOf) && isValue(found.value) ? [[name, found]] : [];
  });
  return {
    attributes: Object.fromEntries(known.map(([name, { value }]) => [name, value])),
    as_of: Object.fromEntries(known.flatMap(([name, { asOf }]) => (asOf === undefined ? [] : [[name, asOf]]))),
  };
}

/** Known at some time, or with the request. */
function isDate(asOf: number | undefined): boolean {
  return asOf === undefined || Number.isFinite(asOf);
}

/** JSON would write an infinite number, and whatever no type allows, as null. */
function isValue(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (Array.isArray(value)) return value.every((item) => typeof item === 'string');
  return typeof value === 'string' || typeof value === 'boolean';
}

function operationOf(operation: Operation): object {
  switch (operation.protocol) {
    case 'http': {
      const reading = readPath(operation.path);
      const segments = reading.kind === 'segments' ? reading.segments : undefined;
      const path = segments === undefined ? {} : { path: `/${segments.join('/')}`, segments };
      return { protocol: 'http', method: operation.method, ...path };
    }
    case 'modbus': {
      const { unit, functionCode, address, quantity, values } = operation;
      const name = modbusFunctionName(functionCode);
      return { protocol: 'modbus', unit, function_code: functionCode, function: name, address, quantity, values };
    }
    case 'mqtt':
      return mqttOf(operation);
    case 'tls':
      return { protocol: 'tls', server_name: operation.serverName.toLowerCase(), alpn: operation.alpn };
    case 'port':
      return { protocol: 'port' };
    case 'named':
      // Never asked: a package hears the requests that it stands for (named-operation.ts).
      return { protocol: 'named' };
  }
}

function mqttOf(operation: MqttRequest): object {
  const { action, clientId, topic, share, qos, retain, will, payloadBytes, json, keepAliveSeconds, version, userName } =
    operation;
  return {
    protocol: 'mqtt',
    action,
    client_id: clientId,
    ...(action === 'connect' ? {} : { topic, levels: topic.split('/') }),
    ...(share === undefined ? {} : { share }),
    qos,
    retain,
    will,
    payload_bytes: payloadBytes,
    ...(json === undefined ? {} : { json }),
    ...(keepAliveSeconds === undefined ? {} : { keep_alive_seconds: keepAliveSeconds }),
    version,
    ...(userName === undefined ? {} : { user_name: userName }),
  };
}
