// The foreign clients: one question by each, and streams that go on until somebody ends them.
import { setTimeout as delay } from 'node:timers/promises';
import type { NetProcess } from '../../support/netns.ts';
import { addressesOf, type CellNetwork, type Device } from './cell.ts';
import { ports } from './servers.ts';

export const families = [0, 1] as const;
export type Family = (typeof families)[number];
export const versions = ['311', '5'] as const;

export interface Said {
  readonly code: number;
  readonly text: string;
}

const serverAt = (family: Family): string => addressesOf('gateway-1')[family];

export function clientsOn(net: CellNetwork) {
  const ask = async (from: Device, argv: readonly string[]): Promise<Said> => {
    // Packets of who is granted nothing are dropped: nobody answers.
    const { code, stdout, stderr } = await net.exec(from, argv, { timeoutMs: 5_000 });
    return { code, text: stdout + stderr };
  };
  const broker = (family: Family, id: string): string[] => ['-h', serverAt(family), '-p', String(ports.mqtt), '-i', id];
  const master: readonly string[] = ['mbpoll', '-m', 'tcp', '-p', String(ports.modbus), '-a', '1', '-0', '-o', '1'];

  return {
    publish: async (
      from: Device,
      family: Family,
      version: string,
      topic: string,
      payload: string,
      more: string[] = [],
    ) =>
      await ask(from, [
        'mosquitto_pub',
        ...broker(family, `${from}-pub`),
        '-V',
        version,
        '-q',
        '1',
        '-t',
        topic,
        '-m',
        payload,
        ...more,
      ]),
    /** Subscribes and leaves. */
    trySubscribe: async (from: Device, family: Family, version: string, filter: string) =>
      await ask(from, ['mosquitto_sub', ...broker(family, `${from}-try`), '-V', version, '-t', filter, '-E']),
    readRegister: async (from: Device, family: Family, register: number) =>
      await ask(from, [...master, '-1', '-t', '4', '-r', String(register), serverAt(family)]),
    writeRegister: async (from: Device, family: Family, register: number, value: number) =>
      await ask(from, [...master, '-1', '-t', '4', '-r', String(register), serverAt(family), String(value)]),
    getPage: async (from: Device, family: Family, path: string, more: readonly string[] = []) => {
      const host = family === 0 ? serverAt(0) : `[${serverAt(1)}]`;
      const options = ['-s', '-g', '--max-time', '4', '-w', ' %{http_code}', ...more];
      return await ask(from, ['curl', ...options, `http://${host}:${ports.http}${path}`]);
    },
    getPicture: async (from: Device, family: Family, name: string) => {
      const address = family === 0 ? serverAt(0) : `[${serverAt(1)}]`;
      const resolve = ['--resolve', `${name}:${ports.tls}:${address}`];
      return await ask(from, ['curl', '-sk', '--max-time', '4', ...resolve, `https://${name}:${ports.tls}/one`]);
    },

    /** Says `TOPIC PAYLOAD` of every delivery. */
    subscribe: (from: Device, family: Family, version: string, filter: string): NetProcess =>
      net.spawn(from, [
        'mosquitto_sub',
        ...broker(family, `${from}-sub`),
        '-V',
        version,
        '-q',
        '1',
        '-v',
        '-t',
        filter,
      ]),
    /** Numbers, one every 50 ms, until it is ended. */
    publishNumbers: (from: Device, topic: string): Numbers => {
      const argv = [
        'mosquitto_pub',
        ...broker(0, `${from}-${topic.replaceAll('/', '-')}`),
        '-q',
        '1',
        '-t',
        topic,
        '-l',
      ];
      return numbers(net.spawn(from, argv));
    },
    /** Reads the register again and again; a line for each answer. */
    poll: (from: Device, family: Family, register: number): NetProcess =>
      // It would keep its lines until there are 4 kB of them.
      net.spawn(from, ['stdbuf', '-oL', ...master, '-t', '4', '-l', '100', '-r', String(register), serverAt(family)]),
    /** A TLS stream that asks for a picture every 100 ms. */
    watchPictures: (from: Device, family: Family, name: string): NetProcess => {
      const address = family === 0 ? serverAt(0) : `[${serverAt(1)}]`;
      const argv = ['openssl', 's_client', '-quiet', '-servername', name, '-connect', `${address}:${ports.tls}`];
      const stream = net.spawn(from, argv);
      void everyMs(100, stream, () => `GET /${from} HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
      return stream;
    },
  };
}

export type Clients = ReturnType<typeof clientsOn>;

export interface Numbers {
  /** The last one that was handed to the client. */
  readonly last: () => number;
  readonly stop: () => Promise<unknown>;
}

function numbers(process: NetProcess): Numbers {
  let last = 0;
  void everyMs(50, process, () => `${(last += 1)}\n`);
  return { last: () => last, stop: () => process.stop() };
}

async function everyMs(ms: number, process: NetProcess, line: () => string): Promise<void> {
  const { child } = process;
  while (child.exitCode === null && child.signalCode === null) {
    child.stdin?.write(line());
    await delay(ms);
  }
}
