// An edge in small that takes one ticket on a real disk, and may kill itself (SIGKILL) on the way. Prints a line for each
// event, for the answer, and for what is open then. Arguments: state directory, file with the profile, ticket, boot,
// `alarm`, or a point of the file system, or nothing.
import { readFileSync, writeSync } from 'node:fs';
import { openBreakGlass } from '../../enforcer/break-glass/index.ts';
import type { SliceBreakGlass } from '../../policy/bundle/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import { nodeFiles } from '../../store/files.ts';
import { silent, slice } from '../activation/world.ts';
import { hour, start } from './people.ts';

const [stateDir = '', profileFile = '', ticketFile = '', boot = '', killAt = ''] = process.argv.slice(2);
const breakGlass = [JSON.parse(readFileSync(profileFile, 'utf8')) as SliceBreakGlass];
// Not through a stream: a dead process writes nothing later.
const print = (line: string): void => void writeSync(1, `${line}\n`);
const reached = (name: string): void => void (name === killAt && process.kill(process.pid, 'SIGKILL'));

const glass = await openBreakGlass({
  fs: { ...nodeFiles, point: reached },
  stateDir,
  trustDomain: 'plant.example',
  deviceId: 'plc-1',
  clock: systemClock,
  boot: { id: boot, uptimeMs: () => 5_000 },
  time: () => ({ now: start + hour, trusted: true }),
  policy: () => ({ slice: { ...slice('a'), breakGlass }, digest: '', freshness: 'fresh' }),
  ownState: () => 'trusted',
  emit: async ({ activity }) => {
    print(activity);
    reached('alarm');
  },
  log: silent,
});
try {
  await glass.use(readFileSync(ticketFile, 'latin1'));
  print('used');
} catch (error) {
  print(error instanceof CodedError ? error.code : String(error));
}
print(`${glass.openings().length} open`);
