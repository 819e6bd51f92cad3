// The server's side of a proxied connection: dialled when the first request is allowed, so that a peer without rights
// does not even take one of the few connections a PLC has. Answers are passed on only to requests that are waiting.
import type { Socket } from 'node:net';
import type { Clock } from '../../runtime/clock.ts';
import type { ModbusLimits } from './limits.ts';
import { answers, createFrameReader, type ModbusFrame } from './modbus-frame.ts';

export interface UpstreamPorts {
  readonly connect: () => Promise<Socket>;
  readonly onAnswer: (bytes: Buffer) => void;
  /** The server answers in a way that is no Modbus. */
  readonly onGarbage: (why: string) => void;
  /** There is room for a request again. */
  readonly onReady: () => void;
  readonly onEnd: () => void;
  readonly clock: Clock;
  readonly limits: ModbusLimits;
}

/** `room`: a request can be forwarded now; `wait`: onReady follows; `none`: connect first. */
export type UpstreamRoom = 'none' | 'wait' | 'room';

export interface Upstream {
  readonly room: () => UpstreamRoom;
  readonly connect: () => void;
  readonly forward: (frame: ModbusFrame) => void;
  /** Stops expecting answers that are overdue. */
  readonly expire: () => void;
  /** Lets no more answers in while the client does not read. */
  readonly hold: (held: boolean) => void;
  /** After what was written, or at once with a reset. */
  readonly end: (reset: boolean) => void;
}

interface Waiting {
  readonly transaction: number;
  readonly unit: number;
  readonly functionCode: number;
  readonly since: number;
}

export function createUpstream(ports: UpstreamPorts): Upstream {
  const reader = createFrameReader();
  let socket: Socket | undefined;
  let connecting = false;
  let ended = false;
  let waiting: Waiting[] = [];

  const finish = (): void => {
    if (ended) return;
    ended = true;
    ports.onEnd();
  };
  const answer = (response: ModbusFrame): void => {
    const index = waiting.findIndex((request) => answers(response, request));
    // Nobody asked, or stopped waiting: the server is not trusted to speak first.
    if (index === -1) return;
    waiting.splice(index, 1);
    ports.onAnswer(response.bytes);
  };
  const receive = (chunk: Buffer): void => {
    const { frames, fault } = reader.push(chunk);
    for (const frame of frames) answer(frame);
    if (fault !== undefined) ports.onGarbage(fault);
    else if (frames.length > 0) ports.onReady();
  };
  const use = (opened: Socket): void => {
    if (ended) {
      opened.destroy();
      return;
    }
    socket = opened;
    connecting = false;
    opened.setNoDelay(true);
    opened.on('data', receive);
    opened.on('drain', ports.onReady);
    opened.on('error', finish);
    opened.on('close', finish);
    ports.onReady();
  };

  return {
    room() {
      if (ended) return 'wait';
      if (socket === undefined) return connecting ? 'wait' : 'none';
      return socket.writableNeedDrain || waiting.length >= ports.limits.maxOutstanding ? 'wait' : 'room';
    },
    connect() {
      connecting = true;
      ports.connect().then(use, finish);
    },
    forward(frame) {
      const { transaction, unit, pdu, bytes } = frame;
      waiting.push({ transaction, unit, functionCode: pdu[0] ?? 0, since: ports.clock.monotonic() });
      socket?.write(bytes);
    },
    expire() {
      const oldest = ports.clock.monotonic() - ports.limits.responseTimeoutMs;
      const still = waiting.filter(({ since }) => since > oldest);
      if (still.length === waiting.length) return;
      waiting = still;
      ports.onReady();
    },
    hold(held) {
      if (held) socket?.pause();
      else socket?.resume();
    },
    end(reset) {
      ended = true;
      if (reset) socket?.resetAndDestroy();
      else socket?.destroySoon();
    },
  };
}
