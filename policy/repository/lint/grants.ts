// Rules about grants: a binding the protocol can establish, no writing over a bare address without a waiver, subjects
// that can reach the device.
import { writes } from '../modbus-functions.ts';
import type { Problems } from '../problems.ts';
import type { Grant, Interface, Repository } from '../repository.ts';
import type { SliceOperation } from '../../bundle/slice.ts';

/** Methods RFC 9110 section 9.2.1 calls safe. */
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Before the others nobody ends TLS: a proxy does for Modbus, MQTT and HTTP. */
export function carriesCertificate(protocol: Interface['protocol']): boolean {
  return protocol !== 'port' && protocol !== 'tls';
}

export function lintBindings(repository: Repository, problems: Problems): void {
  for (const [grant, found] of grantsWithInterface(repository)) {
    if (grant.binding === 'svid' && !carriesCertificate(found.protocol)) {
      const message = `${grant.id} asks for an SVID, and ${found.name} speaks ${found.protocol}, which carries none`;
      problems.add('POLICY_BINDING_UNREACHABLE', grant.at('binding'), message);
    }
    if (grant.binding === 'port+mac+ip') checkMacs(repository, grant, problems);
  }
}

export function checkMacs(repository: Repository, grant: Pick<Grant, 'subjects' | 'at'>, problems: Problems): void {
  for (const device of repository.devices) {
    if (!grant.subjects.includes(device.id)) continue;
    if (device.interfaces.some((card) => card.mac !== undefined)) continue;
    problems.add('POLICY_BINDING_MAC', grant.at('binding'), `${device.id} has no hardware address in the inventory`);
  }
}

/** The kernel lets the packets of a plain port through without asking again. */
export function lintPortLimits(repository: Repository, problems: Problems): void {
  for (const [grant, found] of grantsWithInterface(repository)) {
    if (found.protocol !== 'port') continue;
    for (const key of ['rate', 'uses', 'obligations'] as const) {
      if (grant[key] === undefined) continue;
      const message = `${grant.id} has ${key}, and nobody sees the requests of ${found.name}, a plain port`;
      problems.add('POLICY_PORT_LIMIT', grant.at(key), message);
    }
  }
}

export function lintWriteOverAddress(repository: Repository, problems: Problems): void {
  for (const [grant, found] of grantsWithInterface(repository)) {
    if (grant.binding === 'svid') continue;
    grant.operations.forEach((name, index) => {
      const operation = found.operations.find((candidate) => candidate.name === name);
      if (operation === undefined || !isWriting(operation)) return;
      const message = `${grant.id} lets ${grant.subjects.join(', ')} write with ${name} over binding ${grant.binding}`;
      problems.add('POLICY_WRITE_OVER_ADDRESS', grant.at('operations', index), message, { grant: grant.id });
    });
  }
}

/** A plain port is opaque: what it carries is said by whoever declares it a port and not a protocol. */
function isWriting(operation: SliceOperation): boolean {
  switch (operation.protocol) {
    case 'http':
      return operation.methods.some((method) => !safeMethods.has(method));
    case 'modbus':
      return operation.functionCodes.some((code) => writes(code));
    case 'mqtt':
      return operation.actions.includes('publish');
    case 'tls':
    case 'port':
      return false;
  }
}

export function lintReachability(repository: Repository, problems: Problems): void {
  const networksOf = new Map(
    repository.devices.map((device) => [device.id, new Set(device.interfaces.map((card) => card.network))]),
  );
  for (const [grant, found] of grantsWithInterface(repository)) {
    const apart = found.devices.flatMap((device) =>
      grant.subjects
        .filter((subject) => subject !== device)
        .filter((subject) => networksOf.get(subject)?.isDisjointFrom(networksOf.get(device) ?? new Set()) ?? true)
        .map((subject) => `${subject} and ${device}`),
    );
    const first = apart[0];
    if (first === undefined) continue;
    const more = apart.length > 1 ? ` (and ${apart.length - 1} more pairs)` : '';
    problems.add('POLICY_NETWORK_UNSHARED', grant.at('subjects'), `${first} share no network${more}`, {
      grant: grant.id,
    });
  }
}

export function lintSelfGrants(repository: Repository, problems: Problems): void {
  for (const [grant, found] of grantsWithInterface(repository)) {
    const pairs = found.devices.some((device) => grant.subjects.some((subject) => subject !== device));
    if (pairs || grant.subjects.length === 0 || found.devices.length === 0) continue;
    problems.add(
      'POLICY_SELECTOR_EMPTY',
      grant.at('subjects'),
      `${grant.id} grants ${found.name} only to its own device`,
    );
  }
}

export function lintUntested(repository: Repository, problems: Problems): void {
  for (const grant of repository.grants) {
    const tested = repository.tests.some(
      (test) => test.when.interface === grant.interface && grant.subjects.includes(test.given.subject),
    );
    if (!tested) problems.add('POLICY_GRANT_UNTESTED', grant.at('id'), `${grant.id} has no test`, { grant: grant.id });
  }
}

function grantsWithInterface(repository: Repository): [Grant, Interface][] {
  const interfaces = new Map(repository.interfaces.map((entry) => [entry.name, entry]));
  return repository.grants.flatMap((grant) => {
    const found = interfaces.get(grant.interface);
    return found === undefined ? [] : [[grant, found] as [Grant, Interface]];
  });
}
