// Speaks to mosquitto's dynamic security plugin over its control topic (mosquitto plugins/dynamic-security/README.md), as an
// MQTT 5.0 client made of the strict codec. One connection for one conversation, on this host.
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import type { Clock } from '../../runtime/clock.ts';
import { decode } from '../proxy/mqtt/decode.ts';
import { encode, type EncodedPacket } from '../proxy/mqtt/encode.ts';
import type { Packet } from '../proxy/mqtt/packet.ts';
import { createFrameReader } from '../proxy/mqtt/reader.ts';
import { firstFailure } from '../proxy/mqtt/reasons.ts';
import type { Endpoint } from '../proxy/endpoint.ts';
import type { BrokerAccount } from './accounts.ts';
import type { Command } from './difference.ts';
import { brokerErrors } from './errors.ts';
import { BROKER_TIMEOUT_MS, MAX_BROKER_ANSWER_BYTES, MAX_COMMANDS } from './limits.ts';

const controlTopic = '$CONTROL/dynamic-security/v1';
const answerTopic = `${controlTopic}/response`;

const answersSchema = z.object({
  responses: z.array(
    z.object({
      command: z.string(),
      correlationData: z.string().optional(),
      error: z.string().optional(),
      data: z.unknown().optional(),
    }),
  ),
});

type Answers = z.infer<typeof answersSchema>['responses'];

export interface ControlClient extends AsyncDisposable {
  /** The data of each answer, in order. Throws BROKER_COMMAND_REFUSED at the first error. */
  readonly ask: (commands: readonly Command[]) => Promise<readonly unknown[]>;
}

/** Throws BROKER_UNREACHABLE, BROKER_LOGIN_REFUSED. */
export async function openControlClient(at: Endpoint, account: BrokerAccount, clock: Clock): Promise<ControlClient> {
  const link = await openLink(at, clock);
  const send = (packet: EncodedPacket): void => link.send(encode(packet, 5));
  try {
    send({
      type: 'connect',
      version: 5,
      clean: true,
      keepAlive: 0,
      clientId: `edgeward-control-${process.pid}`,
      userName: account.userName,
      password: Buffer.from(account.password),
      properties: [],
    });
    const hello = await link.next('connack');
    if (hello.reason !== 0) {
      throw brokerErrors.error(
        'BROKER_LOGIN_REFUSED',
        `the broker refuses ${account.userName}: reason ${hello.reason}`,
      );
    }
    const subscription = {
      filter: answerTopic,
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const;
    send({ type: 'subscribe', packetId: 1, properties: [], subscriptions: [subscription] });
    const [granted = firstFailure] = (await link.next('suback')).reasons;
    if (granted >= firstFailure) throw brokerErrors.error('BROKER_COMMAND_REFUSED', `${answerTopic} may not be read`);
  } catch (error) {
    link.end();
    throw error;
  }
  let asked = 0;
  const askSome = async (commands: readonly Command[]): Promise<readonly unknown[]> => {
    const marked = commands.map((command) => ({ ...command, correlationData: `${process.pid}-${asked++}` }));
    const payload = Buffer.from(JSON.stringify({ commands: marked }));
    send({
      type: 'publish',
      dup: false,
      qos: 0,
      retain: false,
      topic: controlTopic,
      packetId: 0,
      properties: [],
      payload,
    });
    const responses = await answersTo(marked[0]?.correlationData);
    return marked.map(({ command, correlationData }, index) => {
      const response = responses[index];
      if (response?.command !== command || response.correlationData !== correlationData) {
        throw brokerErrors.error('BROKER_ANSWER_INVALID', `no answer to ${command}`);
      }
      if (response.error === undefined) return response.data;
      throw brokerErrors.error('BROKER_COMMAND_REFUSED', `${command}: ${response.error.slice(0, 200)}`);
    });
  };
  /** The answers to others, who control the same broker, come on the same topic. */
  const answersTo = async (first: string | undefined): Promise<Answers> => {
    for (;;) {
      const answer = await link.next('publish');
      if (answer.qos === 1) send({ type: 'puback', packetId: answer.packetId, reason: 0, properties: [] });
      const { responses } = parseAnswers(answer.payload);
      if (responses[0]?.correlationData === first) return responses;
    }
  };
  return {
    async ask(commands) {
      const data: unknown[] = [];
      for (let at = 0; at < commands.length; at += MAX_COMMANDS) {
        data.push(...(await askSome(commands.slice(at, at + MAX_COMMANDS))));
      }
      return data;
    },
    async [Symbol.asyncDispose]() {
      send({ type: 'disconnect', reason: 0, properties: [] });
      link.end();
      await Promise.resolve();
    },
  };
}

function parseAnswers(payload: Buffer): z.infer<typeof answersSchema> {
  try {
    return answersSchema.parse(JSON.parse(payload.toString('utf8')));
  } catch (cause) {
    throw brokerErrors.error('BROKER_ANSWER_INVALID', 'the answer on the control topic is not the one documented', {
      cause,
    });
  }
}

interface Link {
  readonly send: (bytes: Buffer) => void;
  /** The next packet of this type; others are passed over. Bounded in time. */
  readonly next: <Type extends Packet['type']>(type: Type) => Promise<Extract<Packet, { type: Type }>>;
  readonly end: () => void;
}

async function openLink({ address, port }: Endpoint, clock: Clock): Promise<Link> {
  const socket: Socket = connect({ host: address, port, noDelay: true });
  const reader = createFrameReader('server', { maxPacketBytes: MAX_BROKER_ANSWER_BYTES, maxFirstPacketBytes: 65_536 });
  const packets: Packet[] = [];
  let fault: Error | undefined;
  let wake = (): void => undefined;
  const fail = (why: string, cause?: unknown): void => {
    fault ??= brokerErrors.error('BROKER_UNREACHABLE', `${address} port ${port}: ${why}`, { cause });
    wake();
  };
  socket.on('data', (chunk: Buffer) => {
    const { frames, fault: garbage } = reader.push(chunk);
    for (const frame of frames) {
      const decoded = decode(frame, 5, 'server');
      if ('fault' in decoded) fail(decoded.fault);
      else packets.push(decoded.packet);
    }
    if (garbage !== undefined) fail(garbage);
    wake();
  });
  socket.on('error', (error) => fail(error.message, error));
  socket.on('close', () => fail('the connection has ended'));
  const next: Link['next'] = async (type) => {
    const settled = new AbortController();
    void clock.sleep(BROKER_TIMEOUT_MS, settled.signal).then(
      () => fail(`no ${type} within ${BROKER_TIMEOUT_MS} ms`),
      () => undefined,
    );
    try {
      for (;;) {
        for (let packet = packets.shift(); packet !== undefined; packet = packets.shift()) {
          if (packet.type === type) return packet as Extract<Packet, { type: typeof type }>;
        }
        if (fault !== undefined) throw fault;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      settled.abort();
    }
  };
  return {
    send: (bytes) => void socket.write(bytes),
    next,
    end: () => socket.destroySoon(),
  };
}
