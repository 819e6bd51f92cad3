// Records how the kernel lists the plan of plc-cell.txt, for enforcer/firewall/listing.test.ts. As root:
//   node test/firewall/record-listing.ts
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderNft } from '../../enforcer/firewall/render.ts';
import { tableOfPlan } from '../../enforcer/firewall/table.ts';
import { readGolden } from './golden.ts';

const script = 'nft -f - && nft -j -p list table inet edgeward';
const { plan } = readGolden('plc-cell.txt');
const input = renderNft(tableOfPlan(plan), plan.compiledAt);
const { status, stdout, stderr } = spawnSync('unshare', ['--net', 'sh', '-c', script], { input, encoding: 'utf8' });
if (status !== 0) throw new Error(stderr);
const path = join(import.meta.dirname, '../../enforcer/firewall/testdata/plc-cell.listing');
writeFileSync(path, `${stdout.trim().replaceAll('}, {"', '},\n{"')}\n`);
