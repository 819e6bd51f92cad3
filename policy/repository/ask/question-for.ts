// A question from what a person types: names are looked up, and a named operation becomes a request that is one.
import { policyErrors } from '../../errors.ts';
import type { SliceEngine } from '../decide.ts';
import { slicesToAsk } from '../build.ts';
import { givenDefaults, type Given, type When } from '../format/tests.ts';
import { nearest } from '../nearest.ts';
import type { Interface, Repository } from '../repository.ts';
import { operationCells } from './operation-cells.ts';
import { requestOf, whenOf, type Question } from './question.ts';

/** What is asked: a named operation of the interface, or a request as it is on the wire. */
export type Wire = { readonly operation: string } | Pick<When, 'http' | 'modbus' | 'mqtt' | 'tls' | 'port'>;

/** Throws POLICY_QUESTION_INVALID for a name that the repository does not hold, with the nearest that it does. */
export function questionFor(
  repository: Repository,
  engine: SliceEngine,
  asked: { readonly interface: string; readonly device?: string | undefined; readonly wire: Wire },
  given: Partial<Given> & { readonly subject: string; readonly time: number },
): Question {
  const entry = findInterface(repository, asked.interface);
  const device = servingDevice(entry, asked.device);
  const full = { ...givenDefaults, ...given };
  if (!('operation' in asked.wire)) {
    const { wire } = asked;
    if (wire[entry.protocol] === undefined) {
      throw refusal(`${entry.name} speaks ${entry.protocol}; expected --operation or --${entry.protocol}`);
    }
    return { given: full, when: { ...wire, interface: entry.name, device } };
  }
  const wanted = asked.wire.operation;
  const known = entry.operations.map(({ name }) => name);
  checkName(`operation of ${entry.name}`, wanted, known);
  const slice = slicesToAsk(repository, new Set([device])).get(device);
  const { cells } = operationCells(entry.protocol, entry.operations, [], given.subject);
  const instance = cells.find((operation) => {
    const { request } = requestOf({ given: full, when: whenOf(entry.name, device, operation) });
    return slice !== undefined && engine.operationsOf(slice, request)?.sure.includes(wanted) === true;
  });
  if (instance === undefined)
    throw refusal(`no request is surely the operation ${wanted}; ask for one as it is on the wire`);
  return { given: full, when: whenOf(entry.name, device, instance) };
}

export function findInterface({ interfaces }: Repository, name: string): Interface {
  const entry = interfaces.find((candidate) => candidate.name === name);
  if (entry !== undefined) return entry;
  const known = interfaces.map((candidate) => candidate.name);
  throw unknown('interface', name, known);
}

export function checkName(what: string, name: string, known: readonly string[]): void {
  if (!known.includes(name)) throw unknown(what, name, known);
}

function servingDevice({ name, devices }: Interface, wanted: string | undefined): string {
  if (wanted !== undefined) checkName(`device with interface ${name}:`, wanted, devices);
  const [only] = devices;
  if (wanted === undefined && (only === undefined || devices.length > 1)) {
    throw refusal(`${name} is on ${devices.length} devices (${devices.join(', ')}); expected --device <id>`);
  }
  return wanted ?? only ?? '';
}

function unknown(what: string, name: string, known: readonly string[]): Error {
  const near = nearest(name, known);
  return refusal(
    `unknown ${what} ${name}${near === undefined ? `; there are ${known.join(', ')}` : `; did you mean ${near}?`}`,
  );
}

function refusal(message: string): Error {
  return policyErrors.error('POLICY_QUESTION_INVALID', message);
}
