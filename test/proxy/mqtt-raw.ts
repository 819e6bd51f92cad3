// A client of MQTT made of bytes, for what no library sends; answers are read by MQTT.js's codec, not by ours.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { parser, type Packet as OraclePacket } from 'mqtt-packet';
import { encode } from '../../enforcer/proxy/mqtt/encode.ts';
import type { Connect, MqttVersion, Publish, Subscription } from '../../enforcer/proxy/mqtt/packet.ts';
import type { Property } from '../../enforcer/proxy/mqtt/properties.ts';

export function connectBytes(version: MqttVersion, clientId = 'sensor-1', more: Partial<Connect> = {}): Buffer {
  return encode({ type: 'connect', version, clean: true, keepAlive: 60, clientId, properties: [], ...more }, version);
}

export function publishBytes(version: MqttVersion, topic: string, more: Partial<Publish> = {}): Buffer {
  const packet = { dup: false, qos: 0, retain: false, packetId: 0, payload: Buffer.from('x'), properties: [] } as const;
  return encode({ type: 'publish', topic, ...packet, ...more }, version);
}

export function subscribeBytes(
  version: MqttVersion,
  packetId: number,
  ...filters: readonly (string | [string, 0 | 1 | 2])[]
): Buffer {
  const subscriptions = filters.map((entry): Subscription => {
    const [filter, qos] = typeof entry === 'string' ? ([entry, 0] as const) : entry;
    return { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 };
  });
  return encode({ type: 'subscribe', packetId, properties: [], subscriptions }, version);
}

export function alias(number: number): readonly Property[] {
  return [{ name: 'topicAlias', value: number }];
}

export interface RawMqtt extends AsyncDisposable {
  readonly socket: Socket;
  /** Each piece in a segment of its own. */
  readonly send: (...pieces: readonly Buffer[]) => Promise<void>;
  /** The next packet that came; undefined when the other side ended. */
  readonly next: () => Promise<OraclePacket | undefined>;
  readonly isClosed: () => boolean;
  /** Resolves after 60 ms without a byte, or at the end. */
  readonly quiet: () => Promise<void>;
}

export async function rawMqtt(port: number, version: MqttVersion): Promise<RawMqtt> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const packets: OraclePacket[] = [];
  const reading = parser({ protocolVersion: version });
  reading.on('packet', (packet) => packets.push(packet));
  let wake = (): void => undefined;
  const state = { ended: false, last: Date.now() };
  socket.on('data', (chunk: Buffer) => {
    state.last = Date.now();
    reading.parse(chunk);
    wake();
  });
  socket.on('error', () => undefined);
  socket.once('close', () => {
    state.ended = true;
    wake();
  });
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  return {
    socket,
    isClosed: () => state.ended,
    async send(...pieces) {
      for (const piece of pieces) {
        if (state.ended) return;
        await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
        if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
      }
      state.last = Date.now();
    },
    async next() {
      for (;;) {
        const packet = packets.shift();
        if (packet !== undefined) return packet;
        if (state.ended) return undefined;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    async quiet() {
      while (!state.ended && Date.now() - state.last < 60) await new Promise((resolve) => setTimeout(resolve, 10));
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      if (!state.ended) await once(socket, 'close');
    },
  };
}
