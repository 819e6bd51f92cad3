// The scenarios of this folder once more, with the nft program between the firewall and the kernel instead of netlink:
// one suite for both ways (test/firewall/cell.ts).
import { env } from 'node:process';

env['FIREWALL_BACKEND'] = 'nft';
await import('./connection-limit.test.ts');
await import('./dead-man.test.ts');
await import('./default-deny.test.ts');
await import('./drift.test.ts');
await import('./epoch.test.ts');
await import('./judge-agrees.test.ts');
await import('./quarantine.test.ts');
await import('./revocation-receipt.test.ts');
await import('./spoofing.test.ts');
await import('./tproxy.test.ts');
await import('./watch.test.ts');
await import('./workloads.test.ts');
