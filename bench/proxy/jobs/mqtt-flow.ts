// Messages from a publisher through a broker to a subscriber, each on a connection of its own, with so many under way; to each
// target in turn. What is counted is what the subscriber got, every message once and in order.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { generate, parser, type Packet } from 'mqtt-packet';

export interface MqttTarget {
  readonly address: string;
  readonly port: number;
  /** Addresses and names of publisher and subscriber. */
  readonly publisher: readonly [address: string, name: string];
  readonly subscriber: readonly [address: string, name: string];
}

export interface MqttFlowOrder {
  readonly targets: Readonly<Record<string, MqttTarget>>;
  readonly qos: 0 | 1;
  readonly messages: number;
  readonly rounds: number;
  /** Messages published and not yet received. */
  readonly window: number;
  readonly payloadBytes: number;
}

export interface MqttFlow {
  /** Messages a second, by target, of each round. */
  readonly rounds: readonly Readonly<Record<string, number>>[];
  /** Whether a message of a topic that nobody may publish was refused (MQTT 5.0, 3.4.2.1: not authorized). */
  readonly refuses: Readonly<Record<string, boolean>>;
}

const NOT_AUTHORIZED = 0x87;
const PATIENCE_MS = 20_000;

export async function mqttFlow(order: MqttFlowOrder): Promise<MqttFlow> {
  const flows = new Map<string, Flow>();
  for (const [name, target] of Object.entries(order.targets)) flows.set(name, await Flow.open(target, order));
  const refuses: Record<string, boolean> = {};
  for (const [name, flow] of flows) {
    refuses[name] = await flow.isRefused();
    await flow.send(Math.min(2_000, order.messages), order.window);
  }
  const rounds: Record<string, number>[] = [];
  for (let round = 0; round < order.rounds; round += 1) {
    const seen: Record<string, number> = {};
    for (const [name, flow] of flows) {
      const begun = performance.now();
      await flow.send(order.messages, order.window);
      seen[name] = (order.messages * 1_000) / (performance.now() - begun);
    }
    rounds.push(seen);
  }
  for (const flow of flows.values()) flow.close();
  return { rounds, refuses };
}

class Flow {
  readonly #publisher: Socket;
  readonly #subscriber: Socket;
  readonly #qos: 0 | 1;
  readonly #message: Buffer;
  #pending: Buffer = Buffer.alloc(0);
  #sent = 0;
  #received = 0;
  #packetId = 0;
  #due = 0;
  #window = 0;
  #arrived: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  static async open(target: MqttTarget, { qos, payloadBytes }: MqttFlowOrder): Promise<Flow> {
    const { publisher, subscriber } = target;
    const publishing = await connected(target, publisher);
    const listening = await connected(target, subscriber);
    const topic = `plant/${publisher[1]}/telemetry/pressure`;
    listening.write(
      generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] }, { protocolVersion: 5 }),
    );
    const granted = await next(listening, 'suback');
    if (granted.cmd !== 'suback' || granted.granted[0] !== qos) throw new Error('the subscription was refused');
    return new Flow(publishing, listening, topic, qos, payloadBytes);
  }

  constructor(publisher: Socket, subscriber: Socket, topic: string, qos: 0 | 1, payloadBytes: number) {
    this.#publisher = publisher;
    this.#subscriber = subscriber;
    this.#qos = qos;
    this.#message = generate(
      {
        cmd: 'publish',
        topic,
        qos,
        dup: false,
        retain: false,
        payload: Buffer.alloc(payloadBytes, 'x'),
        ...(qos === 0 ? {} : { messageId: 1 }),
      },
      { protocolVersion: 5 },
    );
  }

  /** Asked before anything flows, while answers are read by the library. */
  async isRefused(): Promise<boolean> {
    const topic = 'forbidden/topic';
    const publish = { cmd: 'publish', topic, qos: 1, dup: false, retain: false, payload: 'x', messageId: 9 } as const;
    this.#publisher.write(generate(publish, { protocolVersion: 5 }));
    const answer = await next(this.#publisher, 'puback');
    this.#publisher.resume();
    this.#subscriber.on('data', (chunk: Buffer) => this.#receive(chunk));
    return answer.cmd === 'puback' && answer.reasonCode === NOT_AUTHORIZED;
  }

  async send(count: number, window: number): Promise<void> {
    this.#due = this.#sent + count;
    this.#window = window;
    const late = setTimeout(() => this.#failed?.(new Error(`${this.#received} of ${this.#due} arrived`)), PATIENCE_MS);
    await new Promise<void>((resolve, reject) => {
      this.#arrived = resolve;
      this.#failed = reject;
      this.#publish();
    });
    clearTimeout(late);
  }

  close(): void {
    this.#publisher.destroy();
    this.#subscriber.destroy();
  }

  /** A message is a write of its own, as clients do it; what is under way at the same time may share a segment. */
  #publish(): void {
    while (this.#sent < this.#due && this.#sent - this.#received < this.#window) {
      const message = Buffer.from(this.#message);
      message.writeUInt32BE(this.#sent, message.length - 4);
      if (this.#qos === 1) {
        this.#packetId = (this.#packetId % 0xffff) + 1;
        message.writeUInt16BE(this.#packetId, 4 + message.readUInt16BE(2));
      }
      this.#sent += 1;
      this.#publisher.write(message);
    }
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let at = 0;
    const acknowledgements: Buffer[] = [];
    for (;;) {
      const [length, from] = remaining(bytes, at + 1);
      if (length === undefined || bytes.length < from + length) break;
      if ((bytes[at] ?? 0) >> 4 === 3) {
        if (bytes.readUInt32BE(from + length - 4) !== this.#received) {
          this.#failed?.(new Error(`message ${bytes.readUInt32BE(from + length - 4)} instead of ${this.#received}`));
          return;
        }
        this.#received += 1;
        if (this.#qos === 1) {
          const id = from + 2 + bytes.readUInt16BE(from);
          acknowledgements.push(Buffer.from([0x40, 2, bytes[id] ?? 0, bytes[id + 1] ?? 0]));
        }
      }
      at = from + length;
    }
    this.#pending = bytes.subarray(at);
    if (acknowledgements.length > 0) this.#subscriber.write(Buffer.concat(acknowledgements));
    if (this.#received === this.#due) this.#arrived?.();
    else this.#publish();
  }
}

/** Remaining length (MQTT 5.0, 1.5.5) and where it ends; undefined while it is not all there. */
function remaining(bytes: Buffer, from: number): [number | undefined, number] {
  let value = 0;
  for (let at = from, shift = 0; at < bytes.length; at += 1, shift += 7) {
    const byte = bytes[at] ?? 0;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return [value, at + 1];
  }
  return [undefined, from];
}

async function connected({ address, port }: MqttTarget, [from, clientId]: readonly [string, string]): Promise<Socket> {
  const socket = connect({ host: address, port, localAddress: from, noDelay: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(
    generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId, clean: true, keepalive: 60 }),
  );
  const answer = await next(socket, 'connack');
  if (answer.cmd !== 'connack' || answer.reasonCode !== 0) throw new Error(`${clientId} was not let in`);
  return socket;
}

/** The next packet of a kind, read by mqtt-packet. */
async function next(socket: Socket, cmd: Packet['cmd']): Promise<Packet> {
  const reading = parser({ protocolVersion: 5 });
  const found = new Promise<Packet>((resolve, reject) => {
    reading.on('packet', (packet: Packet) => packet.cmd === cmd && resolve(packet));
    reading.on('error', reject);
    socket.once('close', () => reject(new Error(`no ${cmd}: the connection ended`)));
  });
  const listen = (chunk: Buffer): void => void reading.parse(chunk);
  socket.on('data', listen);
  try {
    return await found;
  } finally {
    socket.off('data', listen);
  }
}
