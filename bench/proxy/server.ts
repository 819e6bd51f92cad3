// The servers of a host, without anything of ours in front: started the same behind the edge and on the host without one.
// Modbus: reads have the number of the request in their first register, so that an answer made elsewhere is found out.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { listenForBulk } from './bulk-server.ts';
import { FORBIDDEN } from './jobs/ping-pong.ts';
import { answerTo } from './modbus-answers.ts';
import { ports } from './policy.ts';

export interface ServerSeen {
  readonly connections: number;
  readonly requests: number;
  /** Requests of the register that no grant names. */
  readonly forbidden: number;
}
const seen = { connections: 0, requests: 0, forbidden: 0 };
/** What came on each connection since somebody last took it; undefined until somebody did. */
let taken: Buffer[][] | undefined;

const modbus = createServer({ noDelay: true }, (socket) => {
  let pending: Buffer = Buffer.alloc(0);
  let requests = 0;
  seen.connections += 1;
  const received: Buffer[] = [];
  taken?.push(received);
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    if (taken !== undefined) received.push(chunk);
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    let at = 0;
    const answers: Buffer[] = [];
    while (pending.length - at >= 8 && pending.length - at >= 6 + pending.readUInt16BE(at + 4)) {
      const length = 6 + pending.readUInt16BE(at + 4);
      const request = pending.subarray(at, at + length);
      seen.requests += 1;
      if (request.length >= 10 && request.readUInt16BE(8) === FORBIDDEN) seen.forbidden += 1;
      answers.push(answerTo(request, (requests = (requests + 1) & 0xffff)));
      at += length;
    }
    pending = pending.subarray(at);
    if (answers.length > 0) socket.write(answers.length === 1 ? (answers[0] as Buffer) : Buffer.concat(answers));
  });
});

process.on('message', (question: 'seen' | 'take') => {
  if (question === 'seen') {
    process.send?.(seen);
    return;
  }
  const before = taken ?? [];
  taken = [];
  process.send?.(before.map((chunks) => Buffer.concat(chunks)));
});
process.on('disconnect', () => process.exit());

await Promise.all([once(modbus.listen(ports.modbus, '0.0.0.0', 1_024), 'listening'), listenForBulk()]);
process.send?.('ready');
