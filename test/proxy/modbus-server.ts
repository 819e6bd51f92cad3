// Real Modbus/TCP servers that know nothing of Edgeward: Debian's pymodbus in a process of its own where it is installed,
// and jsmodbus. Registers start at 7, coils at 0.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { server as jsmodbus } from 'jsmodbus';
import { freePort } from '../support/free-ports.ts';
import { rawClient, readRegisters } from './wire.ts';

export interface ModbusServer extends AsyncDisposable {
  readonly name: 'pymodbus' | 'jsmodbus';
  readonly port: number;
  /** Reads past the proxy, with a connection of its own. */
  readonly register: (address: number) => Promise<number>;
}

interface Where {
  readonly address: string;
  /** 0 for any free one. */
  readonly port: number;
}

const anywhere: Where = { address: '127.0.0.1', port: 0 };

/** Debian's own interpreter: a python3 earlier in the PATH does not see Debian's packages. */
const python = '/usr/bin/python3';

/** One of them, pymodbus before jsmodbus. */
export async function startModbusServer(where: Where = anywhere): Promise<ModbusServer> {
  return (await startPymodbus(where)) ?? startJsmodbus(where);
}

/** All that this machine has. */
export async function startModbusServers(): Promise<readonly ModbusServer[]> {
  const pymodbus = await startPymodbus(anywhere);
  return [...(pymodbus === undefined ? [] : [pymodbus]), await startJsmodbus(anywhere)];
}

async function startPymodbus(where: Where): Promise<ModbusServer | undefined> {
  const { address } = where;
  const port = where.port === 0 ? await freePort() : where.port;
  const script = join(import.meta.dirname, 'modbus-server.py');
  const child = spawn(python, [script, address, String(port)], { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const ready = once(child.stdout, 'data').then(() => true);
  if (!(await Promise.race([ready, ended.then(() => false)]))) return undefined;
  return {
    name: 'pymodbus',
    port,
    register: (register) => readRegister(address, port, register),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function startJsmodbus({ address, port: wanted }: Where): Promise<ModbusServer> {
  const listener = createServer();
  const holding = Buffer.alloc(2_000);
  for (let at = 0; at < holding.length; at += 2) holding.writeUInt16BE(7, at);
  void new jsmodbus.TCP(listener, { holding });
  listener.listen(wanted, address);
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  return {
    name: 'jsmodbus',
    port,
    register: (register) => readRegister(address, port, register),
    async [Symbol.asyncDispose]() {
      listener.close();
      await Promise.resolve();
    },
  };
}

async function readRegister(address: string, port: number, register: number): Promise<number> {
  await using client = await rawClient(port, address);
  await client.send(readRegisters(1, register));
  const answer = await client.answer();
  if (answer?.functionCode !== 3) throw new Error('the server does not answer a read');
  return answer.data.readUInt16BE(1);
}
