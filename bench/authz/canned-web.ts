// What stands on both sides of the proxies: a forward-auth point that allows everything at once, and a workload.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Running, ServerTask } from './server.ts';

/** Says yes as the edge does it, to whatever is asked. */
export async function cannedForwardAuth({
  socket,
}: Extract<ServerTask, { kind: 'canned-forward-auth' }>): Promise<Running> {
  const headers = {
    'x-edgeward-subject': 'device-1234',
    'x-edgeward-decision': 'allow',
    'x-edgeward-rule': 'grant:grant-12345',
    'x-edgeward-obligations': '',
    'content-length': '0',
    'cache-control': 'no-store',
  };
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, headers).end();
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return idle({ check: socket });
}

export async function workload(): Promise<Running> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-length': '3', 'content-type': 'text/plain' }).end('ok\n');
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return idle({ check: '', port: (server.address() as AddressInfo).port });
}

const idle = (listening: Running['listening']): Running => ({
  listening,
  settle: () => Promise.resolve(),
  logged: () => ({ logged: 0, lost: 0 }),
});
