// An interface that is open while the enforcer is dead: somebody has to answer for it, and what is written beside it must
// not seem to hold then.
import type { Problems } from '../problems.ts';
import type { Interface, Repository } from '../repository.ts';

export function lintEnforcerDeath({ interfaces }: Repository, problems: Problems): void {
  for (const entry of interfaces) {
    if (entry.onEnforcerDeath !== 'open') continue;
    const message = `${entry.name} would fail open`;
    problems.add('POLICY_ENFORCER_DEATH_OPEN', entry.at('onEnforcerDeath'), message, { interface: entry.name });
    for (const why of contradictions(entry)) {
      problems.add('POLICY_ENFORCER_DEATH_IGNORED', entry.at('onEnforcerDeath'), `${entry.name} ${why}`);
    }
  }
}

function contradictions({ protocol, auditDurable, onDeny }: Interface): string[] {
  return [
    ...(protocol === 'port' ? ['is a plain port: nobody stands in its way who could die'] : []),
    ...(auditDurable ? ['wants every answer on disk (durable), and nothing is recorded while it is open'] : []),
    ...(onDeny === undefined
      ? []
      : ['ends connections that ask for what is denied (onDeny), and nothing is denied then']),
  ];
}
