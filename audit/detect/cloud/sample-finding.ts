// A finding for tests, with everything in its texts that a careless receiver would take for syntax.
import type { Finding } from './findings.ts';

export const sampleFinding: Finding = {
  id: 'f-0123456789abcdef',
  ruleId: 'rule "1" \\ [x]',
  title: 'Scan "of" a\\b [c]\n<110>1 - - forged - - \u001b[2J\u2028 Förderband',
  level: 'critical',
  device: 'gateway-1"] [evil@1 x="',
  reporter: 'plc-1',
  firstEventAt: 1_800_000_000_000,
  foundAt: 1_800_000_000_123,
  state: 'open',
  count: 12,
  retro: false,
  attributed: true,
  evidence: Array.from({ length: 50 }, (_, n) => 1_000_000 + n),
  tags: ['attack.t0846'],
  closedWhy: '',
};
