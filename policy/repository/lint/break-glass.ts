// Rules about break-glass profiles: something that asks, a subject it can tell, packets that arrive, one key a person.
import { keyId } from '../../../identity/index.ts';
import type { Problems } from '../problems.ts';
import type { BreakGlassProfile, Interface, Repository } from '../repository.ts';
import { carriesCertificate, checkMacs } from './grants.ts';

export function lintBreakGlass(repository: Repository, problems: Problems): void {
  const interfaces = new Map(repository.interfaces.map((entry) => [entry.name, entry]));
  for (const profile of repository.breakGlass) {
    const found = interfaces.get(profile.interface);
    if (found === undefined) continue;
    lintProtocol(profile, found, problems);
    if (profile.binding === 'port+mac+ip') checkMacs(repository, profile, problems);
    lintPackets(profile, found, repository, problems);
    if (found.devices.some((device) => profile.subjects.some((subject) => subject !== device))) continue;
    const message = `${profile.id} opens ${found.name} only to its own device`;
    problems.add('POLICY_SELECTOR_EMPTY', profile.at('subjects'), message);
  }
  lintKeys(repository, problems);
}

function lintProtocol({ id, binding, at }: BreakGlassProfile, found: Interface, problems: Problems): void {
  if (found.protocol === 'port') {
    const message = `${id} opens ${found.name}, a plain port, and nobody sees the requests of one`;
    problems.add('POLICY_BREAK_GLASS_PORT', at('interface'), message);
  } else if (binding === 'svid' && !carriesCertificate(found.protocol)) {
    const message = `${id} asks for an SVID, and ${found.name} speaks ${found.protocol}, which carries none`;
    problems.add('POLICY_BINDING_UNREACHABLE', at('binding'), message);
  }
}

/** An opening is about requests; the packets that carry them need a grant of their own. */
function lintPackets(profile: BreakGlassProfile, found: Interface, { grants }: Repository, problems: Problems): void {
  const reaching = new Set(
    grants.filter((grant) => grant.interface === found.name).flatMap(({ subjects }) => subjects),
  );
  const cut = profile.subjects.filter((subject) => !found.devices.includes(subject) && !reaching.has(subject));
  if (cut.length === 0) return;
  const message = `${profile.id} opens requests of ${cut.join(', ')}, whose packets no grant lets reach ${found.name}`;
  problems.add('POLICY_BREAK_GLASS_PACKETS', profile.at('subjects'), message);
}

/** Across all profiles: else one person would count as two in a profile that names the same key otherwise. */
function lintKeys({ breakGlass }: Repository, problems: Problems): void {
  const nameOf = new Map<string, string>();
  const keyOf = new Map<string, string>();
  for (const { approvers, at } of breakGlass) {
    for (const [index, { name, key }] of approvers.entries()) {
      const id = keyId(key);
      const [otherName, otherKey] = [nameOf.get(id) ?? name, keyOf.get(name) ?? id];
      nameOf.set(id, otherName);
      keyOf.set(name, otherKey);
      if (otherName === name && otherKey === id) continue;
      const message =
        otherName === name
          ? `${name} has another key elsewhere`
          : `the key of ${name} is that of ${otherName} elsewhere`;
      problems.add('POLICY_BREAK_GLASS_KEY', at('approvers', index), message);
    }
  }
}
