// What an interface's Casbin model can be asked at all: a grant opens an operation first, so the subjects, methods and
// paths of granted operations are all there is. Each question class is a product of finite sets and path patterns.
import { casbinRequests } from '../../../engine/casbin-request.ts';
import { serverNameMatches } from '../../../engine/tls-operation.ts';
import { impliedActions } from '../../../bundle/mqtt.ts';
import type { SliceOperation } from '../../../bundle/slice.ts';
import type { Interface, Repository } from '../../repository.ts';

export interface Question {
  readonly interface: string;
  readonly operation: SliceOperation;
  readonly sub: ReadonlySet<string>;
  readonly dom: ReadonlySet<string>;
  readonly act: ReadonlySet<string>;
}

/** One for every granted operation of every interface that names the model. */
export function questionsOf(model: string, repository: Repository): Question[] {
  const grants = Map.groupBy(repository.grants, (grant) => grant.interface);
  return repository.interfaces.flatMap((entry) => {
    if (entry.casbin !== model) return [];
    const granted = grants.get(entry.name) ?? [];
    return entry.operations.flatMap((operation) => {
      const sub = new Set(
        granted.flatMap((grant) =>
          grant.operations.includes(operation.name) ? grant.subjects.filter((subject) => reaches(subject, entry)) : [],
        ),
      );
      if (sub.size === 0) return [];
      return [{ interface: entry.name, operation, sub, dom: new Set([entry.name]), act: actions(operation, entry) }];
    });
  });
}

/** A device needs no grant to reach itself. */
function reaches(subject: string, { devices }: Interface): boolean {
  return devices.some((device) => device !== subject);
}

function actions(operation: SliceOperation, entry: Interface): ReadonlySet<string> {
  switch (operation.protocol) {
    case 'http':
      return new Set(operation.methods);
    case 'modbus':
      return new Set(
        operation.functionCodes.map((functionCode) =>
          actionOf({ protocol: 'modbus', unit: 1, functionCode, address: 0, quantity: 1, values: [] }, entry),
        ),
      );
    case 'mqtt':
      return new Set(impliedActions(operation.actions));
    case 'tls':
      return new Set(['connect']);
    case 'port':
      return new Set([actionOf({ protocol: 'port' }, entry)]);
  }
}

/** As the engine asks it. */
function actionOf(operation: Parameters<typeof casbinRequests>[0]['operation'], entry: Interface): string {
  const request = {
    subject: { id: '', binding: 'ip' as const, state: 'trusted' as const, attributes: {} },
    operation,
    resource: { interface: entry.name, attributes: {} },
    context: { time: 0, source: '', connection: '', attributes: {} },
  };
  const act = casbinRequests(request, ['act'])[0]?.[0];
  return typeof act === 'string' ? act : '';
}

/** Whether some object of the question could equal the text. */
export function canBeObject({ operation, interface: name }: Question, text: string): boolean {
  switch (operation.protocol) {
    case 'http':
      return operation.paths.some((path) => pathCanBe(path, text));
    case 'modbus': {
      const [, unit, code, address] = /^(\d{1,3})\/(\d{1,3})\/(\d{1,5})$/.exec(text) ?? [];
      return (
        unit !== undefined &&
        operation.functionCodes.includes(Number(code)) &&
        (operation.units.length === 0 || operation.units.includes(Number(unit))) &&
        operation.addresses.some(([low, high]) => low <= Number(address) && Number(address) <= high)
      );
    }
    // A topic is any text that a filter lets through, a filter too.
    case 'mqtt':
      return true;
    case 'tls':
      return operation.names.some((pattern) => serverNameMatches(pattern, text));
    case 'port':
      return text === name;
  }
}

function pathCanBe(pattern: string, text: string): boolean {
  const wanted = pattern.split('/');
  const given = text.split('/');
  const open = wanted.at(-1) === '**';
  const fixed = open ? wanted.slice(0, -1) : wanted;
  if (open ? given.length <= fixed.length : given.length !== fixed.length) return false;
  return fixed.every((segment, index) => (segment === '*' ? given[index] !== '' : segment === given[index]));
}

/** Whether some object of the question could start with the text. */
export function canStartWith({ operation, interface: name }: Question, prefix: string): boolean {
  switch (operation.protocol) {
    case 'http':
      return operation.paths.some((path) => {
        const literal = /^[^*]*/.exec(path)?.[0] ?? '';
        return literal === path ? path.startsWith(prefix) : literal.startsWith(prefix) || prefix.startsWith(literal);
      });
    case 'modbus':
      return /^[0-9/]*$/.test(prefix);
    case 'mqtt':
    case 'tls':
      return true;
    case 'port':
      return name.startsWith(prefix);
  }
}

/** The objects of the question, where they are few and known; undefined otherwise. */
export function objectsOf({ operation, interface: name }: Question): readonly string[] | undefined {
  switch (operation.protocol) {
    case 'http':
      return operation.paths.some((path) => path.includes('*')) ? undefined : operation.paths;
    case 'modbus':
      return undefined;
    case 'mqtt':
      return undefined;
    case 'tls':
      return operation.names.some((pattern) => pattern.startsWith('*')) ? undefined : operation.names;
    case 'port':
      return [name];
  }
}
