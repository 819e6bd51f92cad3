// SETTINGS (RFC 9113 section 6.5): what we announce, and what of the peer's concerns somebody who only answers.
import { streamWindow, type UnaryServerLimits } from './limits.ts';
import { ConnectionFault, maxFrameBytes, maxFrameBytesEver, maxWindow, setting } from './protocol.ts';

const entryBytes = 6;

export function ourSettings(limits: UnaryServerLimits): Buffer {
  const entries: readonly (readonly [number, number])[] = [
    [setting.headerTableSize, limits.headerTableBytes],
    [setting.maxConcurrentStreams, limits.maxConcurrentStreams],
    [setting.initialWindowSize, streamWindow],
    [setting.maxHeaderListSize, limits.maxHeaderListBytes],
  ];
  const bytes = Buffer.alloc(entries.length * entryBytes);
  for (const [index, [name, value]] of entries.entries()) {
    bytes.writeUInt16BE(name, index * entryBytes);
    bytes.writeUInt32BE(value, index * entryBytes + 2);
  }
  return bytes;
}

/**
 * Checks all entries and gives the last SETTINGS_INITIAL_WINDOW_SIZE, if there is one. The others concern pushes, which we do
 * not send, frames larger than the least that everybody takes, and a table that our encoder does not use.
 */
export function readSettings(bytes: Buffer, start: number, end: number): number | undefined {
  if ((end - start) % entryBytes !== 0) throw new ConnectionFault('FRAME_SIZE_ERROR', 'SETTINGS of a broken length');
  let window: number | undefined;
  for (let at = start; at < end; at += entryBytes) {
    const value = bytes.readUInt32BE(at + 2);
    switch (bytes.readUInt16BE(at)) {
      case setting.enablePush:
        if (value > 1) throw new ConnectionFault('PROTOCOL_ERROR', `SETTINGS_ENABLE_PUSH ${value}`);
        break;
      case setting.initialWindowSize:
        if (value > maxWindow) throw new ConnectionFault('FLOW_CONTROL_ERROR', `SETTINGS_INITIAL_WINDOW_SIZE ${value}`);
        window = value;
        break;
      case setting.maxFrameSize:
        if (value < maxFrameBytes || value > maxFrameBytesEver) {
          throw new ConnectionFault('PROTOCOL_ERROR', `SETTINGS_MAX_FRAME_SIZE ${value}`);
        }
        break;
      default:
    }
  }
  return window;
}
