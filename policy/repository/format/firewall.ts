// firewall/*.yaml: packet rules that no grant expresses, in two tiers; a deny beats every allow and every grant.
import { z } from 'zod';
import { cidr, id, range16, selectorOrAll } from './scalars.ts';

const rule = z
  .strictObject({
    id,
    tier: z.enum(['deny', 'allow']),
    devices: selectorOrAll,
    direction: z.enum(['in', 'out']),
    transport: z.enum(['tcp', 'udp', 'icmp', 'any']),
    peer: cidr,
    ports: range16.refine(([from]) => from > 0, 'expected ports from 1 to 65535').optional(),
  })
  .refine((entry) => entry.ports === undefined || entry.transport === 'tcp' || entry.transport === 'udp', {
    path: ['ports'],
    message: 'expected ports only with transport tcp or udp',
  });

export const firewallSchema = z.strictObject({ rules: z.array(rule) });
