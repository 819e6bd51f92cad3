// The plant cell of the demo: who stands where, and the foreign programs that run there. None of them knows of Edgeward.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const addresses = {
  control: '10.77.0.2',
  'gateway-1': '10.77.0.11',
  'plc-1': '10.77.0.12',
  'hmi-1': '10.77.0.13',
} as const;
export type HostName = keyof typeof addresses;

/** One interface on the cell's only network. */
export const onCell = (address: string) => ({
  interfaces: { eth0: { network: 'cell', addresses: [`${address}/24`] } },
});
export const cellHosts = {
  control: onCell(addresses.control),
  'gateway-1': onCell(addresses['gateway-1']),
  'plc-1': onCell(addresses['plc-1']),
  'hmi-1': onCell(addresses['hmi-1']),
} as const;

export const edges = ['gateway-1', 'plc-1', 'hmi-1'] as const;
export type EdgeName = (typeof edges)[number];

export const plcPort = 502;
export const webPort = 8443;
/** A maintenance page on the PLC that somebody forgot; no grant opens it. */
export const maintenancePort = 8080;
/** Holding register of the set-point and the value it has to keep. */
export const setPoint = { register: 10, value: 42 } as const;

const workloads = join(import.meta.dirname, 'workloads');
export const python = '/usr/bin/python3';

export const plcServer = (address: string): string[] => [python, join(workloads, 'plc.py'), address, String(plcPort)];
export const maintenanceServer = (address: string): string[] => [
  python,
  '-m',
  'http.server',
  String(maintenancePort),
  '--bind',
  address,
];
export const poller = (address: string, intervalMs: number): string[] => [
  python,
  join(workloads, 'poller.py'),
  address,
  String(plcPort),
  String(intervalMs),
];
export const scanner = (address: string, first: number, last: number, timeoutMs: number): string[] => [
  python,
  join(workloads, 'scan.py'),
  address,
  String(first),
  String(last),
  String(timeoutMs),
];

/** mbpoll (libmodbus) reads or writes one holding register; its reference numbers count from 1. */
export const modbusRead = (address: string, register: number): string[] => mbpoll(address, register, ['-c', '1']);
export const modbusWrite = (address: string, register: number, value: number): string[] =>
  mbpoll(address, register, [], [String(value)]);
function mbpoll(
  address: string,
  register: number,
  options: readonly string[],
  values: readonly string[] = [],
): string[] {
  return [
    'mbpoll',
    '-m',
    'tcp',
    '-a',
    '1',
    '-t',
    '4',
    '-1',
    '-o',
    '1',
    '-p',
    String(plcPort),
    '-r',
    String(register + 1),
    ...options,
    address,
    ...values,
  ];
}

/** The value that mbpoll printed, undefined when it read none. */
export function modbusValue(stdout: string): number | undefined {
  const match = /^\[\d+\]:\s+(-?\d+)/m.exec(stdout);
  return match === null ? undefined : Number(match[1]);
}

export interface WebFiles {
  readonly scratch: string;
  readonly address: string;
  /** Roots of the clients and the snippet; absent before Edgeward is there. */
  readonly guard?: { readonly rootsFile: string; readonly forwardAuthSocket: string };
}

/** Writes nginx's configuration and the page's files; gives nginx's command line. */
export function webServer(files: WebFiles): string[] {
  const { scratch, address, guard } = files;
  mkdirSync(join(scratch, 'www/admin'), { recursive: true });
  writeFileSync(join(scratch, 'www/index.html'), 'hmi page\n');
  writeFileSync(join(scratch, 'www/status'), 'hmi status\n');
  writeFileSync(join(scratch, 'www/admin/index.html'), 'hmi administration\n');
  selfSigned(scratch);
  const values: Record<string, string> = { scratch, address };
  if (guard !== undefined) {
    const snippet = readFileSync(join(import.meta.dirname, '../examples/nginx/edgeward.conf'), 'utf8');
    writeFileSync(
      join(scratch, 'edgeward.conf'),
      snippet.replace('/run/edgeward/forward-auth.sock', guard.forwardAuthSocket),
    );
    Object.assign(values, { roots: guard.rootsFile, snippet: join(scratch, 'edgeward.conf') });
  }
  const template = readFileSync(
    join(workloads, guard === undefined ? 'nginx-open.conf' : 'nginx-guarded.conf'),
    'utf8',
  );
  const config = template.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => values[name] ?? '');
  const user = process.getuid?.() === 0 ? 'user root;\n' : '';
  writeFileSync(join(scratch, 'nginx.conf'), `${user}${config}`);
  return ['/usr/sbin/nginx', '-c', join(scratch, 'nginx.conf'), '-p', scratch];
}

/** A certificate for nginx that no client has to trust: curl runs with -k, the demo is about who the client is. */
function selfSigned(scratch: string): void {
  const out = ['-keyout', join(scratch, 'web.key'), '-out', join(scratch, 'web.pem')];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=hmi',
      ...out,
    ],
    { stdio: 'ignore' },
  );
}

/** curl for one page, with the device's own SVID as client certificate where it has one. Prints the status code last. */
export function fetchPage(target: string, identity?: { readonly chain: string; readonly key: string }): string[] {
  const client = identity === undefined ? [] : ['--cert', identity.chain, '--key', identity.key];
  return [
    'curl',
    '-sk',
    '--max-time',
    '2',
    '--path-as-is',
    ...client,
    '-w',
    '\n%{http_code}',
    `https://${addresses['hmi-1']}:${webPort}${target}`,
  ];
}

/** Status code and body that curl printed; status 0 when nothing answered. */
export function page(stdout: string): { status: number; body: string } {
  const lines = stdout.split('\n');
  return { status: Number(lines.pop() ?? 0), body: lines.join('\n') };
}

export interface Poll {
  readonly at: number;
  readonly ok: boolean;
  readonly ms: number;
  readonly value?: number;
  readonly error?: string;
}

export const parsePolls = (stdout: string): Poll[] =>
  stdout.split('\n').flatMap((line) => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line) as Poll] : []));
