// Modbus in the mutated streams.
import { modbusProtocol } from '../../../enforcer/proxy/index.ts';
import { answerTo } from '../modbus-answers.ts';
import { framesOf, mayAsk } from './modbus-oracle.ts';
import { modbusStream } from './modbus-streams.ts';
import type { Suite } from './suite.ts';

export const modbusSuite: Suite = {
  name: 'modbus',
  interface: 'plc-modbus',
  open: modbusProtocol,
  stream: modbusStream,
  server() {
    let pending = Buffer.alloc(0);
    let number = 0;
    return (received) => {
      pending = Buffer.concat([pending, received]);
      const { frames, rest } = framesOf(pending);
      pending = Buffer.from(rest);
      return frames.length === 0
        ? undefined
        : Buffer.concat(frames.map((frame) => answerTo(frame, (number += 1) & 0xffff)));
    };
  },
  judge({ who, bytes, isWhole }, received) {
    const { frames, rest } = framesOf(received);
    const expected = framesOf(bytes).frames.filter((frame) => mayAsk(who, frame));
    const denied = frames.filter((frame) => !mayAsk(who, frame));
    // In the client's order, without a gap: what is after a fault of the stream may be missing, nothing before it.
    const isPrefix = frames.every((frame, index) => expected[index]?.equals(frame) === true);
    const faults = [
      ...denied.map((frame) => `denied: ${frame.toString('hex')}`),
      ...(rest.length > 0 ? [`not a message: ${rest.toString('hex')}`] : []),
      ...(isPrefix ? [] : ['not the allowed messages of the stream in their order']),
      ...(isWhole && frames.length < expected.length
        ? [`${expected.length - frames.length} allowed messages lost`]
        : []),
    ];
    return {
      delivered: frames.length - denied.length,
      allowed: expected.length,
      deniedBytes: denied.reduce((sum, { length }) => sum + length, rest.length),
      faults,
    };
  },
};
