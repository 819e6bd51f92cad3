// Opens flows as one user, for tests of workloads: node user-probe.ts UID. Every line of input is a question, every line of
// output its answer. The user is taken on before the first socket exists; the program need not be readable to it.
import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const uid = Number(process.argv[2]);
process.setgroups?.([]);
process.setgid?.(uid);
process.setuid?.(uid);
let held: Socket | undefined;

const open = (address: string, port: number): Promise<Socket | string> =>
  new Promise((resolve) => {
    const socket = connect(port, address, () => resolve(socket));
    socket.setTimeout(600, () => (socket.destroy(), resolve('silent')));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
  });

const exchange = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve('silent'), 1_000);
    const end = (answer: string): void => (clearTimeout(timer), resolve(answer));
    socket.once('data', () => end('answered'));
    socket.once('close', () => end('reset'));
    if (socket.destroyed) end('reset');
    else socket.write('question\n');
  });

const datagram = (address: string, port: number, local: number): Promise<string> =>
  new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const end = (answer: string): void => (socket.close(), clearTimeout(timer), resolve(answer));
    const timer = setTimeout(() => end('silent'), 600);
    socket.once('message', () => end('answered'));
    // A packet that the kernel drops on its way out is an error here.
    socket.once('error', () => end('silent'));
    socket.bind(local, () => socket.send('question', port, address, (error) => error && end('silent')));
  });

async function answer(line: string): Promise<string> {
  const [what = '', address = '', port = '', local = ''] = line.split(' ');
  if (what === 'udp') return await datagram(address, Number(port), Number(local));
  if (what === 'exchange') return held === undefined ? 'nothing held' : await exchange(held);
  const socket = await open(address, Number(port));
  if (typeof socket === 'string') return socket;
  if (what === 'hold') {
    socket.setTimeout(0);
    held = socket;
    return await exchange(socket);
  }
  socket.destroy();
  return 'open';
}

for await (const line of createInterface({ input: process.stdin })) console.log(`= ${await answer(line)}`);
