// Entries of a list that another entry of the same list already covers, and operations that are the same requests.
import type { SliceOperation } from '../../bundle/slice.ts';
import { containsFilter } from '../../engine/mqtt-contains.ts';
import { readPolicyFilter } from '../../engine/mqtt-topic.ts';
import { serverNameMatches } from '../../engine/tls-operation.ts';
import type { Problems } from '../problems.ts';
import type { Interface, Repository } from '../repository.ts';
import { operationContains } from './operation-inclusion.ts';

export function lintEntries(repository: Repository, problems: Problems): void {
  for (const entry of repository.interfaces) {
    for (const operation of entry.operations) {
      const redundant = (key: string, index: number, message: string): void => {
        problems.add('POLICY_ENTRY_REDUNDANT', entry.at('operations', operation.name, key, index), message);
      };
      if (operation.protocol === 'http') lintHttp(operation, redundant);
      if (operation.protocol === 'modbus') lintModbus(operation, redundant);
      if (operation.protocol === 'mqtt') lintMqtt(operation, redundant);
      if (operation.protocol === 'tls') lintTls(operation, redundant);
    }
    lintDuplicates(entry, problems);
  }
  for (const rule of [...repository.grants, ...repository.denies]) {
    for (const index of repeated(rule.operations)) {
      const message = `${rule.operations[index]} is listed twice`;
      problems.add('POLICY_ENTRY_REDUNDANT', rule.at('operations', index), message);
    }
  }
}

type Redundant = (key: string, index: number, message: string) => void;
type Of<P extends SliceOperation['protocol']> = Extract<SliceOperation, { protocol: P }>;

function lintHttp(operation: Of<'http'>, redundant: Redundant): void {
  for (const index of repeated(operation.methods))
    redundant('methods', index, `${operation.methods[index]} is listed twice`);
  for (const [index, path] of operation.paths.entries()) {
    const other = operation.paths.findIndex((candidate, at) => {
      if (at === index || !covers(candidate, path)) return false;
      return at < index || !covers(path, candidate);
    });
    if (other !== -1) redundant('paths', index, `${operation.paths[other]} covers ${path}`);
  }
}

function covers(outer: string, inner: string): boolean {
  const only = (path: string): SliceOperation => {
    const paths = [path];
    return { name: 'one', protocol: 'http', methods: ['GET'], paths, class: 'normal', island: false };
  };
  return operationContains(only(outer), only(inner));
}

function lintModbus(operation: Of<'modbus'>, redundant: Redundant): void {
  for (const index of repeated(operation.functionCodes)) {
    redundant('functions', index, `function ${operation.functionCodes[index]} is listed twice`);
  }
  for (const index of repeated(operation.units))
    redundant('units', index, `unit ${operation.units[index]} is listed twice`);
  for (const [index, [low, high]] of operation.addresses.entries()) {
    // An access has to lie inside one range, so that only a single range covers another.
    const other = operation.addresses.findIndex(
      ([from, to], at) => at !== index && from <= low && high <= to && (at < index || from < low || high < to),
    );
    const by = operation.addresses[other];
    if (by !== undefined) redundant('addresses', index, `${by.join('-')} covers ${low}-${high}`);
  }
}

function lintMqtt(operation: Of<'mqtt'>, redundant: Redundant): void {
  for (const key of ['actions', 'shares'] as const) {
    const list = operation[key];
    for (const index of repeated(list)) redundant(key, index, `${list[index]} is listed twice`);
  }
  const filters = operation.topics.map((topic) => readPolicyFilter(topic));
  coveredBy(operation.topics, (one, other) => {
    const [outer, inner] = [filters[one], filters[other]];
    return outer !== undefined && inner !== undefined && containsFilter(outer, inner);
  }).forEach(([index, by]) => redundant('topics', index, `${by} covers ${operation.topics[index]}`));
}

function lintTls({ names }: Of<'tls'>, redundant: Redundant): void {
  coveredBy(names, (one, other) => {
    const [outer = '', inner = ''] = [names[one], names[other]];
    return outer === inner || serverNameMatches(outer, inner);
  }).forEach(([index, by]) => redundant('names', index, `${by} covers ${names[index]}`));
}

/** Indexes of what another entry of the list covers, with the other; of two that are the same the later one. */
function coveredBy(list: readonly string[], isCovered: (outer: number, inner: number) => boolean): [number, string][] {
  return list.flatMap((_, inner): [number, string][] => {
    const by = list.find((__, outer) => {
      if (outer === inner || !isCovered(outer, inner)) return false;
      return outer < inner || !isCovered(inner, outer);
    });
    return by === undefined ? [] : [[inner, by]];
  });
}

function repeated(list: readonly unknown[]): number[] {
  return list.flatMap((value, index) => (list.indexOf(value) < index ? [index] : []));
}

/** A port is opaque: two operations there differ in nothing that could be seen. */
function lintDuplicates(entry: Interface, problems: Problems): void {
  const { operations } = entry;
  for (const [index, operation] of operations.entries()) {
    const same = operations.slice(0, index).find((other) => isSame(other, operation));
    if (same === undefined) continue;
    const message = `${operation.name} is the same requests as ${same.name}`;
    problems.add('POLICY_OPERATION_DUPLICATE', entry.at('operations', operation.name), message);
  }
}

function isSame(a: SliceOperation, b: SliceOperation): boolean {
  return operationContains(a, b) && operationContains(b, a);
}
