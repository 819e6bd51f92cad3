// What an interface says of its audit, held against itself and against what can be done there.
import type { Problems } from '../problems.ts';
import type { Repository } from '../repository.ts';

export function lintAudit({ interfaces }: Repository, problems: Problems): void {
  for (const { name, auditDurable, allowsSampled, auditClasses, operations, at } of interfaces) {
    const partly = Object.entries(auditClasses ?? {}).find(([, level]) => level !== 'all')?.[0];
    if (auditDurable && partly !== undefined) {
      const message = `${name} wants every answer on disk, and not every ${partly} recorded`;
      problems.add('POLICY_AUDIT_CONTRADICTORY', at('audit', 'classes', partly), message);
    }
    if (allowsSampled === undefined) continue;
    const place = at('audit', 'allows');
    if (auditDurable) {
      problems.add(
        'POLICY_AUDIT_CONTRADICTORY',
        place,
        `${name} wants every answer on disk, and not all of them recorded`,
      );
    }
    const grave = operations.filter((operation) => operation.class !== 'normal');
    if (grave.length > 0) {
      const which = grave.map((operation) => `${operation.name} (${operation.class})`).join(', ');
      problems.add('POLICY_AUDIT_SAMPLED', place, `allowed requests to ${name} are sampled, also to ${which}`);
    }
  }
}
