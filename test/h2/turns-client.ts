// A peer in a thread of its own that always has more requests under way: answers are read and thrown away.
import { connect } from 'node:net';
import { workerData } from 'node:worker_threads';
import {
  callFrames,
  headerBlock,
  preface,
  settingIds,
  settingsFrame,
  windowUpdateFrame,
} from '../../bench/authz/h2-frames.ts';

const { path, messageBytes, together } = workerData as { path: string; messageBytes: number; together: number };
const plain = callFrames(headerBlock('plain'), Buffer.alloc(messageBytes));
const first = callFrames(headerBlock('first plain'), Buffer.alloc(messageBytes));
let stream = 1;

/** As many requests as fit into one write. */
function requests(): Buffer {
  const calls = Array.from({ length: together }, () => {
    const { bytes, secondId } = stream === 1 ? first : plain;
    const call = Buffer.from(bytes);
    call.writeUInt32BE(stream, 5);
    call.writeUInt32BE(stream, secondId);
    stream += 2;
    return call;
  });
  return Buffer.concat(calls);
}

const socket = connect(path);
socket.write(Buffer.concat([preface, settingsFrame([[settingIds.window, 2 ** 24]]), windowUpdateFrame(0, 2 ** 30)]));
socket.on('error', () => undefined);
// The server's windows allow one round at a time; each answer that comes asks for another one.
socket.on('data', () => socket.write(requests()));
