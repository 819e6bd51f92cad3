// The attacker: root on gateway-1, with its key, its address and its grants. Three things, all with foreign clients.
import type { Network } from '../test/support/netns.ts';
import {
  addresses,
  fetchPage,
  type HostName,
  maintenancePort,
  modbusRead,
  modbusValue,
  modbusWrite,
  page,
  plcPort,
  scanner,
  setPoint,
  webPort,
} from './site.ts';

export interface AttackResult {
  /** Open ports that the scan found on the PLC and the HMI. */
  readonly openPorts: { readonly plc: readonly number[]; readonly hmi: readonly number[] };
  /** Status of the administration page; 0 when nothing answered. */
  readonly adminStatus: number;
  /** What mbpoll said of its write; `illegal function` is the proxy's refusal. */
  readonly writeAnswer: 'written' | 'illegal function' | 'failed';
  /** Set-point of the PLC afterwards, read beside the PLC. */
  readonly setPointAfter: number | undefined;
}

const evil = 666;

export async function scan(net: Network<HostName>, address: string, first: number, last: number): Promise<number[]> {
  const { stdout } = await net.exec('gateway-1', scanner(address, first, last, 700));
  return (JSON.parse(stdout) as { open: number[] }).open;
}

/** The forbidden page and the write first, the loud scan last: it would be contained before it tried the rest. */
export async function attack(net: Network<HostName>, identity?: { chain: string; key: string }): Promise<AttackResult> {
  const fetched = await net.exec('gateway-1', fetchPage('/admin/', identity));
  const written = await net.exec('gateway-1', modbusWrite(addresses['plc-1'], setPoint.register, evil));
  const plc = [
    ...(await scan(net, addresses['plc-1'], 480, 520)),
    ...(await scan(net, addresses['plc-1'], 8060, 8100)),
  ];
  const hmi = await scan(net, addresses['hmi-1'], 8430, 8450);
  return {
    openPorts: { plc, hmi },
    adminStatus: page(fetched.stdout).status,
    writeAnswer: /illegal function/i.test(written.stdout + written.stderr)
      ? 'illegal function'
      : written.code === 0
        ? 'written'
        : 'failed',
    setPointAfter: await readSetPoint(net),
  };
}

/** Read on the PLC's own host, where nothing stands between. */
export async function readSetPoint(net: Pick<Network<HostName>, 'exec'>): Promise<number | undefined> {
  const { stdout } = await net.exec('plc-1', modbusRead(addresses['plc-1'], setPoint.register));
  return modbusValue(stdout);
}

export async function restoreSetPoint(net: Network<HostName>): Promise<void> {
  await net.exec('plc-1', modbusWrite(addresses['plc-1'], setPoint.register, setPoint.value));
}

/** True when each of the three did what the attacker wanted. */
export function succeeded(result: AttackResult): boolean {
  return (
    result.openPorts.plc.includes(plcPort) &&
    result.openPorts.plc.includes(maintenancePort) &&
    result.openPorts.hmi.includes(webPort) &&
    result.adminStatus === 200 &&
    result.setPointAfter === evil
  );
}

/** True when the attacker got nothing beyond what the grants of gateway-1 open: reading the PLC, viewing the HMI. */
export function blocked(result: AttackResult): boolean {
  const granted = new Set([plcPort, webPort]);
  const extra = [...result.openPorts.plc, ...result.openPorts.hmi].filter((port) => !granted.has(port));
  return (
    extra.length === 0 &&
    result.adminStatus === 403 &&
    result.writeAnswer === 'illegal function' &&
    result.setPointAfter === setPoint.value
  );
}

/** What the foreign clients saw, in one line. */
export const describe = ({ openPorts, adminStatus, writeAnswer, setPointAfter }: AttackResult): string =>
  `curl /admin/: ${adminStatus}; mbpoll write: ${writeAnswer}, set-point ${setPointAfter}; scan: ports ${openPorts.plc.join(', ') || 'none'} on the PLC, ${openPorts.hmi.join(', ') || 'none'} on the HMI`;
