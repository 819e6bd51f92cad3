// What opens more than anybody can have thought of: every path, every register, every device, without an end, in any spelling.
import { writes } from '../modbus-functions.ts';
import type { SliceOperation } from '../../bundle/slice.ts';
import type { Problems } from '../problems.ts';
import type { Grant, Interface, Repository } from '../repository.ts';

/** Devices from which on "all of them" is no accident of a small inventory. */
const MANY_DEVICES = 4;

export function lintWide(repository: Repository, problems: Problems): void {
  const interfaces = new Map(repository.interfaces.map((entry) => [entry.name, entry]));
  for (const entry of repository.interfaces) lintNormalise(entry, problems);
  for (const grant of repository.grants) {
    const entry = interfaces.get(grant.interface);
    if (entry === undefined) continue;
    lintOperations(grant, entry, problems);
    lintSubjects(grant, repository, problems);
  }
}

/** Beyond what proxies do of themselves (RFC 3986, and Envoy's and nginx's merging of slashes). */
const wideNormalisations: ReadonlySet<string> = new Set(['path-parameters', 'encoded-slashes', 'case']);

function lintNormalise(entry: Interface, problems: Problems): void {
  const wide = (entry.normalise ?? []).filter((term) => wideNormalisations.has(term));
  const sensitive = entry.operations.find((operation) => operation.class === 'sensitive');
  if (wide.length === 0 || sensitive === undefined) return;
  const message = `${wide.join(', ')}: ${sensitive.name} of ${entry.name} is sensitive, and gets more spellings than one`;
  problems.add('POLICY_NORMALISE_WIDE', entry.at('normalise'), message);
}

function lintOperations(grant: Grant, entry: Interface, problems: Problems): void {
  const about = { grant: grant.id };
  for (const [index, name] of grant.operations.entries()) {
    const operation = entry.operations.find((candidate) => candidate.name === name);
    if (operation === undefined) continue;
    const place = grant.at('operations', index);
    const path = operation.protocol === 'http' && operation.paths.find((pattern) => pattern === '/**');
    if (typeof path === 'string') {
      problems.add('POLICY_PATH_WIDE', place, `${name} of ${entry.name} is every path (${path})`, about);
    }
    if (writesEverything(operation)) {
      problems.add('POLICY_REGISTERS_WIDE', place, `${name} of ${entry.name} writes any value to any address`, about);
    }
    if (operation.class === 'sensitive' && grant.until === undefined) {
      problems.add('POLICY_SENSITIVE_WITHOUT_END', place, `${name} is sensitive, and ${grant.id} has no until`, about);
    }
  }
}

function writesEverything(operation: SliceOperation): boolean {
  if (operation.protocol !== 'modbus' || !operation.functionCodes.some((code) => writes(code))) return false;
  const [low, high] = operation.values ?? [0, 65535];
  if (low > 0 || high < 65535) return false;
  // Ranges that follow on each other are as wide as one.
  let next = 0;
  for (const [from, to] of operation.addresses.toSorted(([a], [b]) => a - b)) {
    if (from > next) return false;
    next = Math.max(next, to + 1);
  }
  return next > 65535;
}

function lintSubjects(grant: Grant, { devices }: Repository, problems: Problems): void {
  if (devices.length < MANY_DEVICES || grant.subjects.length < devices.length) return;
  const message = `${grant.id} chooses all ${devices.length} devices of the inventory`;
  problems.add('POLICY_SUBJECTS_WIDE', grant.at('subjects'), message, { grant: grant.id });
}
