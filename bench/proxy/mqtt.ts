// Messages a second from a publisher through mosquitto to a subscriber: both connections through the proxy, and both direct
// to the same broker on a host without an edge, in turn.
import { startMosquitto } from '../../test/support/mosquitto.ts';
import { findProgram } from '../../test/support/capabilities.ts';
import type { BenchOptions } from '../bench-options.ts';
import { peerAddress, SERVER } from '../firewall/world.ts';
import { type Figure, figure, type FigureSpec, percentile, unmeasured } from '../machine.ts';
import type { MqttFlow } from './jobs/mqtt-flow.ts';
import { peerName, PEERS, ports } from './policy.ts';
import { type BenchWorld, DIRECT, PATH } from './world.ts';

const specs = {
  rate: {
    id: 'mqttPerSecond',
    unit: 'messages/s',
    goal: { relation: 'at least', value: 20_000, text: '≥ 20,000 MQTT messages/s through mosquitto' },
  },
  ratio: {
    id: 'mqttRateRatio',
    unit: 'x',
    goal: { relation: 'at least', value: 0.5, text: '≥ 0.5x of the direct rate through mosquitto' },
  },
  rateQos1: { id: 'mqttQos1PerSecond', unit: 'messages/s' },
  ratioQos1: { id: 'mqttQos1RateRatio', unit: 'x' },
} as const satisfies Record<string, FigureSpec>;

const WINDOW = 500;
const PAYLOAD_BYTES = 64;

export async function measureMqtt(world: BenchWorld, { quick, progress }: BenchOptions): Promise<readonly Figure[]> {
  if (findProgram('mosquitto') === undefined) {
    return Object.values(specs).map((spec) => unmeasured(spec, 'no mosquitto here (Debian package mosquitto)'));
  }
  progress('MQTT through mosquitto');
  const start = (host: 'plc' | 'plain', address: string) =>
    startMosquitto({
      address,
      port: ports.mqtt,
      on: (argv) => world.net.commandOn(host, argv),
      log: 'few',
      config: ['max_queued_messages 0', 'max_inflight_messages 0', 'set_tcp_nodelay true'],
    });
  await using _proxied = await start('plc', SERVER);
  await using _direct = await start('plain', DIRECT);
  await using client = await world.client();
  const [publisher, subscriber] = [PEERS / 2, PEERS / 2 + 2].map(
    (index) => [peerAddress(index), peerName(index)] as const,
  );
  if (publisher === undefined || subscriber === undefined) throw new Error('no peers');
  const flow = async (qos: 0 | 1): Promise<MqttFlow> =>
    await client.order({
      job: 'mqttFlow',
      targets: {
        direct: { address: DIRECT, port: ports.mqtt, publisher, subscriber },
        proxied: { address: SERVER, port: ports.mqtt, publisher, subscriber },
      },
      qos,
      window: WINDOW,
      payloadBytes: PAYLOAD_BYTES,
      ...(quick ? { messages: 10_000, rounds: 5 } : { messages: 50_000, rounds: 11 }),
    });
  const before = await world.edge.use();
  const none = await flow(0);
  const after = await world.edge.use();
  const messages = none.rounds.length * (quick ? 10_000 : 50_000);
  const more = { edgeCpuUsPerMessage: Math.round(((after.cpuUs - before.cpuUs) / messages) * 100) / 100, path: PATH };
  return [
    ...mqttFigures([specs.rate, specs.ratio], none, more),
    ...mqttFigures([specs.rateQos1, specs.ratioQos1], await flow(1), { path: PATH }),
  ];
}

const LEAST_ROUNDS = 5;

export function mqttFigures(
  [rate, ratio]: readonly [FigureSpec, FigureSpec],
  { rounds, refuses }: MqttFlow,
  more: Figure['against'] = {},
): Figure[] {
  const of = (name: string): number[] => rounds.map((round) => round[name] ?? Number.NaN);
  const median = (values: readonly number[]): number => percentile(values, 0.5) ?? Number.NaN;
  const against = {
    rounds: rounds.length,
    directPerSecond: Math.round(median(of('direct'))),
    window: WINDOW,
    payloadBytes: PAYLOAD_BYTES,
    ...more,
  };
  const fault =
    rounds.length < LEAST_ROUNDS
      ? `${rounds.length} rounds, expected ${LEAST_ROUNDS} or more`
      : refuses['proxied'] !== true || refuses['direct'] === true
        ? 'a topic that nobody may publish was not refused by the proxy, or refused by the broker too'
        : undefined;
  if (fault !== undefined) return [rate, ratio].map((spec) => unmeasured(spec, fault, against));
  const shares = of('proxied').map((value, at) => value / (of('direct')[at] ?? Number.NaN));
  return [
    figure(rate, Math.round(median(of('proxied'))), against),
    figure(ratio, Math.round(median(shares) * 1_000) / 1_000),
  ];
}
