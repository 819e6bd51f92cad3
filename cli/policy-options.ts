// Options that questions to a policy share: circumstances of the subject who asks.
import { Option } from 'commander';

export const subjectStates = [
  'trusted',
  'unknown',
  'expected',
  'enrolled',
  'stale',
  'suspect',
  'quarantined',
  'recovering',
  'decommissioned',
  'revoked',
] as const;

export const stateOption = (): Option =>
  new Option('--state <state>', 'state of the subject').choices(subjectStates).default('trusted');

export const attestationOption = (): Option =>
  new Option('--attestation <class>', 'class of the last appraisal')
    .choices(['none', 'software', 'idevid', 'tpm', 'missing'])
    .default('software');

export const bindingOption = (): Option =>
  new Option('--binding <binding>', 'how the subject is known; default svid for http, ip for others').choices([
    'svid',
    'port+mac+ip',
    'ip',
  ]);

export const freshnessOption = (): Option =>
  new Option('--freshness <age>', 'age of the policy on the edge')
    .choices(['fresh', 'soft-expired', 'hard-expired'])
    .default('fresh');
