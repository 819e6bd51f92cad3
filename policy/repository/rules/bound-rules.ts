// Rules about the bounds of an operation and about what a proxy does on an interface.
import type { LintRule } from './lint-rule.ts';

export const boundRules = {
  POLICY_CHANGE_BOUND: {
    severity: 'error',
    waivable: false,
    explanation:
      'maxChangePerMinute is about registers that are written: of an operation that only reads it bounds nothing, and a coil has no way between 0 and 1. Changes are measured for each unit, and a server that takes every unit number for its own would have 256 bounds instead of one.',
    example: 'functions: [read-holding-registers], maxChangePerMinute: 50',
    fix: 'give the bound to an operation that writes registers, coils an operation of their own, and name one unit (units: [1])',
  },
  POLICY_HEADER_BOUND: {
    severity: 'error',
    waivable: false,
    explanation:
      'Headers of an operation tell kinds of requests apart. Framing and hop-by-hop headers end at the next machine, and a secret does not belong into a policy that every device and every record holds.',
    example: 'headers: {authorization: [Bearer abc]}',
    fix: 'name a header that the application reads; identity comes from certificates and grants, size from maxBodyBytes, the host from hosts',
  },
  POLICY_ENFORCER_DEATH_IGNORED: {
    severity: 'error',
    waivable: false,
    explanation:
      'While the enforcer is dead an open interface is the bare server: what else is written of it must not seem to hold then.',
    example: 'onEnforcerDeath: open beside audit: {durable: true}',
    fix: 'use closed or hold, or remove what cannot hold: durable, onDeny: close; a plain port has no enforcer in its way',
  },
} as const satisfies Record<string, LintRule>;
