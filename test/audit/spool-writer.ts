// A process that is going to be killed: appends durable events and says on standard output which ones it was promised.
//   node spool-writer.ts DIRECTORY FIRST-ID
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { openSpool } from '../../audit/spool/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeFiles } from '../../store/files.ts';

const [directory, first] = process.argv.slice(2);
if (directory === undefined || first === undefined) throw new Error('usage: spool-writer.ts DIRECTORY FIRST-ID');
const limits = { segmentBytes: 8_192, recentBytes: 1_024 };
const spool = await openSpool({ fs: nodeFiles, directory, clock: systemClock, random: randomBytes, limits });

let id = Number(first);
const writer = async (): Promise<never> => {
  for (;;) {
    const mine = id++;
    await spool.append({ kind: 'authz', activity: 'deny', data: { count: mine } }, true);
    writeSync(1, `${mine}\n`);
    if (mine % 50 === 0) await spool.acknowledged(Math.max(0, spool.head().sequence - 400));
  }
};
await Promise.all([writer(), writer(), writer(), writer()]);
