// What an interface's Casbin model is asked. sub: device id; dom: name of the interface; obj and act:
//   http    obj  canonical path, decoded (`/api/v1/pumps`)      act  method
//   modbus  obj  `unit/function code/address` (`1/3/107`)       act  name of the function (`read-holding-registers`)
//   port    obj  name of the interface                          act  `connect`
// A Modbus access to several registers is asked once for each of them, and every answer has to be allow.
import { modbusFunctions } from '../repository/modbus-functions.ts';
import { readPath } from './http-path.ts';
import { hasAddress } from './modbus-operation.ts';
import type { AccessRequest, Operation } from './request.ts';

export const casbinFields: ReadonlySet<string> = new Set(['sub', 'dom', 'obj', 'act']);

const functionNames = new Map(Object.entries(modbusFunctions).map(([name, code]) => [code, name]));

/** Values for each field list the model is to be asked with; empty when there is nothing it could be asked. */
export function casbinRequests(request: AccessRequest, fields: readonly string[]): readonly (readonly string[])[] {
  const { act, objects } = asked(request);
  const values = (obj: string): string[] =>
    fields.map((field) => {
      switch (field) {
        case 'sub':
          return request.subject.id;
        case 'dom':
          return request.resource.interface;
        case 'obj':
          return obj;
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
    case 'port':
      return { act: 'connect', objects: [resource.interface] };
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
