// Rego packages beside what opa says of them: one that no interface names, one without tests.
import type { Problems } from '../problems.ts';
import { isRegoTest } from '../rego/compiler.ts';
import type { Repository } from '../repository.ts';

export function lintRego(repository: Repository, problems: Problems): void {
  const used = new Set(repository.interfaces.map((entry) => entry.rego));
  for (const { name, folder, at } of repository.rego) {
    if (!used.has(name)) problems.add('POLICY_REGO_UNUSED', at, `no interface says rego: ${name}`);
    if (![...folder.files.keys()].some(isRegoTest)) {
      problems.add('POLICY_REGO_UNTESTED', at, `no test; expected rego/${name}/${name}_test.rego`);
    }
  }
}
