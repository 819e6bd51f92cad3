// What an interface's Casbin model is asked. sub: device id; dom: name of the interface; obj and act:
//   http    obj  canonical path, decoded (`/api/v1/pumps`)      act  method
//   modbus  obj  `unit/function code/address` (`1/3/107`)       act  name of the function (`read-holding-registers`)
//   mqtt    obj  topic, of subscribe its filter, of connect the client id
//                                                              act  `connect`, `publish`, `subscribe`, `receive`
//   tls     obj  server name in lower case                      act  `connect`
//   port    obj  name of the interface                          act  `connect`
// subject, resource, context: objects, as a Rego package sees them (rego/input-document.ts): `r.subject.state`,
// `r.subject.attributes.site`. What is missing, stale or mistyped by its schema is unknown.
// A filter is only a text to a model: what it brings in is asked again with each delivery, as `receive`.
// A Modbus access to several registers is asked once for each of them, and every answer has to be allow.
import { modbusFunctions } from '../repository/modbus-functions.ts';
import { readPath } from './http-path.ts';
import { hasAddress } from './modbus-operation.ts';
import type { CasbinAttributes, CasbinValue } from './casbin/value.ts';
import type { AccessRequest, Operation } from './request.ts';

/** Fields that are objects, see rego/input-document.ts. */
export const documentFields = ['subject', 'resource', 'context'] as const;
export const casbinFields: ReadonlySet<string> = new Set(['sub', 'dom', 'obj', 'act', ...documentFields]);

/** What a model sees of a request beside its texts; nothing for a model that reads none of it. */
export type CasbinDocument = Readonly<Partial<Record<(typeof documentFields)[number], CasbinAttributes>>>;

export const readsDocument = (fields: readonly string[]): boolean =>
  documentFields.some((name) => fields.includes(name));

const functionNames = new Map(Object.entries(modbusFunctions).map(([name, code]) => [code, name]));

/** Values for each field list the model is to be asked with; empty when there is nothing it could be asked. */
export function casbinRequests(
  request: AccessRequest,
  fields: readonly string[],
  document: CasbinDocument = {},
): readonly (readonly CasbinValue[])[] {
  const { act, objects } = asked(request);
  const values = (obj: string): CasbinValue[] =>
    fields.map((field) => {
      switch (field) {
        case 'sub':
          return request.subject.id;
        case 'dom':
          return request.resource.interface;
        case 'obj':
          return obj;
        case 'subject':
        case 'resource':
        case 'context':
          // Without it every attribute is unknown.
          return document[field] ?? {};
        default:
          return act;
      }
    });
  return objects.map(values);
}

function asked({ operation, resource }: AccessRequest): { act: string; objects: readonly string[] } {
  switch (operation.protocol) {
    case 'http': {
      const reading = readPath(operation.path);
      return {
        act: operation.method,
        objects: reading.kind === 'segments' ? [`/${reading.segments.join('/')}`] : [],
      };
    }
    case 'modbus':
      return { act: modbusFunctionName(operation.functionCode), objects: modbusObjects(operation) };
    case 'mqtt':
      return {
        act: operation.action,
        objects: [operation.action === 'connect' ? operation.clientId : operation.topic],
      };
    case 'tls':
      return { act: 'connect', objects: [operation.serverName.toLowerCase()] };
    case 'port':
      return { act: 'connect', objects: [resource.interface] };
    case 'named':
      // Asked with the requests that it stands for (named-operation.ts).
      return { act: '', objects: [] };
  }
}

/** As model.conf, policy.csv and Rego packages know a function code. */
export function modbusFunctionName(code: number): string {
  return functionNames.get(code) ?? `function-${code}`;
}

function modbusObjects(operation: Extract<Operation, { protocol: 'modbus' }>): readonly string[] {
  const { unit, functionCode, address, quantity } = operation;
  const count = hasAddress(functionCode) ? quantity : 1;
  return Array.from({ length: count }, (_, index) => `${unit}/${functionCode}/${address + index}`);
}
