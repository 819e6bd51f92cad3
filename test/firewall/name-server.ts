// A name server inside a host of the cell: A records from a JSON file that is read for every question (RFC 1035 section 4).
// What is not in the file does not exist; of what is, only IPv4 is known; a name without an address gets no answer at all.
//   node name-server.ts ADDRESS FILE
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';

const [address = '127.0.0.1', file = ''] = process.argv.slice(2);
const socket = createSocket('udp4');
const typeA = 1;

function answer(question: Buffer): Buffer | undefined {
  const labels: string[] = [];
  let at = 12;
  for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
    labels.push(question.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = question.readUInt16BE(at + 1);
  const known = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  const found = known[labels.join('.')];
  console.log(`asked for ${labels.join('.')}`);
  if (found === '') return undefined;
  const records = found !== undefined && type === typeA ? [record(found)] : [];
  const header = Buffer.alloc(12);
  question.copy(header, 0, 0, 2);
  // An authoritative answer; 3 says that the name does not exist.
  header.writeUInt16BE(0x8580 | (found === undefined ? 3 : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, question.subarray(12, at + 5), ...records]);
}

/** The name as a pointer to the question, type A, class IN, 1 second. */
function record(ipv4: string): Buffer {
  return Buffer.from([0xc0, 12, 0, typeA, 0, 1, 0, 0, 0, 1, 0, 4, ...ipv4.split('.').map(Number)]);
}

socket.on('message', (question, from) => {
  const message = answer(question);
  if (message !== undefined) socket.send(message, from.port, from.address);
});
socket.bind(53, address, () => console.log('answers'));
