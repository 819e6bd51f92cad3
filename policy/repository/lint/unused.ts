// What nothing uses: a leftover, or the other half of a typo.
import { attributePath, builtInAttributes } from '../../engine/attributes.ts';
import { attributesRead } from '../resolve-conditions.ts';
import type { Problems } from '../problems.ts';
import type { Repository } from '../repository.ts';

export function lintUnused(repository: Repository, problems: Problems): void {
  const rules = [...repository.grants, ...repository.denies, ...repository.breakGlass];
  const tested = new Set([
    ...repository.tests.map(({ when }) => when.interface),
    ...repository.invariants.map((invariant) => invariant.interface),
  ]);
  const ruled = new Set(rules.map((rule) => rule.interface));
  const named = new Set(rules.flatMap((rule) => rule.operations.map((name) => `${rule.interface}/${name}`)));
  const closed = new Set(repository.denies.flatMap((deny) => (deny.operations.length === 0 ? [deny.interface] : [])));
  for (const entry of repository.interfaces) {
    if (!ruled.has(entry.name)) {
      if (tested.has(entry.name)) continue;
      problems.add('POLICY_INTERFACE_UNUSED', entry.at('name'), `no grant, deny or test names ${entry.name}`);
      continue;
    }
    for (const { name, class: safetyClass } of entry.operations) {
      if (safetyClass === 'sensitive' || closed.has(entry.name) || named.has(`${entry.name}/${name}`)) continue;
      const place = entry.at('operations', name);
      problems.add('POLICY_OPERATION_UNUSED', place, `no grant or deny names ${name} of ${entry.name}`);
    }
  }
  const attached = new Set(repository.devices.flatMap((device) => device.interfaces.map((card) => card.network)));
  for (const network of repository.networks) {
    if (attached.has(network.name)) continue;
    problems.add('POLICY_NETWORK_UNUSED', network.at('name'), `no device is on network ${network.name}`);
  }
  lintAttributes(repository, problems);
}

function lintAttributes(repository: Repository, problems: Problems): void {
  const read = new Set([
    ...builtInAttributes.map(attributePath),
    ...repository.grants.flatMap(({ conditions }) => attributesRead(conditions)),
    ...repository.denies.flatMap(({ conditions }) => (conditions === undefined ? [] : attributesRead(conditions))),
  ]);
  // A model, a detection or a test may read it under its bare name; to find that word anywhere is use enough.
  const texts = [
    ...repository.casbin.flatMap(({ model, policy }) => [model, policy]),
    ...repository.rego.flatMap(({ folder }) => [...folder.files.values()]),
    ...Object.values(repository.detections),
    JSON.stringify(repository.tests.map(({ given, when }) => [given, when])),
  ];
  for (const [path, place] of repository.attributePlaces) {
    const name = path.slice(path.indexOf('.') + 1);
    if (read.has(path) || texts.some((text) => text.includes(name))) continue;
    problems.add('POLICY_ATTRIBUTE_UNUSED', place, `nothing reads ${path}`);
  }
}
