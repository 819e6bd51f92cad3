// Says on standard output, a JSON line each, what the kernel logged: group 5 is the firewall's, group 6 a witness behind it.
import { openNflog } from '../../../runtime/linux-nflog.ts';

const readers = [5, 6].map((group) =>
  openNflog(
    { group },
    {
      packet: ({ prefix, network }) =>
        console.log(JSON.stringify({ group, prefix, source: network?.source, sport: network?.sourcePort })),
      lost: (count) => console.log(JSON.stringify({ group, lost: count })),
      fault: (error) => {
        throw error;
      },
    },
  ),
);
console.log('reads');
// The readers keep no process alive.
process.stdin.resume();
process.stdin.once('end', () => readers.forEach((reader) => reader.close()));
