// Runs inside one host of a test network (see netns.ts) and does there what it is told on standard input, a JSON object
// a line: open flows, serve echoes, probe ports, send bursts. Answers on standard output with the same id.
import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, isIPv6 } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentRequest, FlowReport, ProbeResult } from './netns-probe.ts';

interface Flow {
  send(): void;
  report: FlowReport;
  /** Answers that came; resolves waiting exchanges. */
  waiting: Set<(outcome: FlowReport['state'] | 'answered') => void>;
  timer?: NodeJS.Timeout;
  close(): void;
}

interface Echo {
  received: number;
  lastAt: number;
  push(): void;
  close(): void;
}

const flows: Flow[] = [];
const echoes: Echo[] = [];

function outcomeOf(error: NodeJS.ErrnoException): ProbeResult {
  if (error.code === 'ECONNREFUSED') return 'refused';
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return 'reset';
  return error.code === 'ETIMEDOUT' ? 'silent' : 'unreachable';
}

function probeTcp(request: Extract<AgentRequest, { op: 'probe-tcp' }>): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({
      host: request.address,
      port: request.port,
      ...(request.source === undefined ? {} : { localAddress: request.source }),
    });
    const finish = (result: ProbeResult): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => finish('silent'), request.timeoutMs);
    socket.once('connect', () => finish('open'));
    socket.once('error', (error) => finish(outcomeOf(error)));
  });
}

const udp = (address: string): UdpSocket => createSocket(isIPv6(address) ? 'udp6' : 'udp4');

function probeUdp(request: Extract<AgentRequest, { op: 'probe-udp' }>): Promise<ProbeResult | 'answered'> {
  return new Promise((resolve) => {
    const socket = udp(request.address);
    const finish = (result: ProbeResult | 'answered'): void => {
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => finish('silent'), request.timeoutMs);
    socket.once('error', (error) => finish(outcomeOf(error)));
    socket.once('message', () => finish('answered'));
    socket.connect(request.port, request.address, () => socket.send('probe'));
  });
}

function newFlow(parts: Pick<Flow, 'send' | 'close'>): Flow {
  const report: FlowReport = { state: 'open', sent: 0, answered: 0, lastAnswerAt: 0, endedAt: 0 };
  return { ...parts, report, waiting: new Set() };
}

/** TCP joins messages; of "ping" and an unasked "push" only the first has an i. */
function answered(flow: Flow, bytes: Buffer): void {
  const answers = bytes.filter((byte) => byte === 0x69).length;
  if (answers === 0) return;
  flow.report.answered += answers;
  flow.report.lastAnswerAt = Date.now();
  for (const resolve of flow.waiting) resolve('answered');
  flow.waiting.clear();
}

function ended(flow: Flow, state: FlowReport['state']): void {
  if (flow.report.state !== 'open') return;
  flow.report.state = state;
  flow.report.endedAt = Date.now();
  clearInterval(flow.timer);
  for (const resolve of flow.waiting) resolve(state);
  flow.waiting.clear();
}

function openTcpFlow(request: Extract<AgentRequest, { op: 'flow' }>): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: request.address, port: request.port, noDelay: true });
    const flow = newFlow({ send: () => socket.write('ping'), close: () => socket.destroy() });
    socket.on('data', (bytes) => answered(flow, bytes));
    socket.on('end', () => ended(flow, 'closed'));
    socket.on('error', (error) => {
      ended(flow, outcomeOf(error) === 'reset' ? 'reset' : 'closed');
      reject(error);
    });
    socket.once('connect', () => resolve(flows.push(flow) - 1));
  });
}

function openUdpFlow(request: Extract<AgentRequest, { op: 'flow' }>): Promise<number> {
  return new Promise((resolve) => {
    const socket = udp(request.address);
    const flow = newFlow({ send: () => socket.send('ping', () => {}), close: () => socket.close() });
    socket.on('message', (bytes) => answered(flow, bytes));
    socket.on('error', () => ended(flow, 'closed'));
    socket.connect(request.port, request.address, () => resolve(flows.push(flow) - 1));
  });
}

function send(flow: Flow): void {
  if (flow.report.state !== 'open') return;
  flow.report.sent += 1;
  flow.send();
}

function exchange(flow: Flow, timeoutMs: number): Promise<string> {
  if (flow.report.state !== 'open') return Promise.resolve(flow.report.state);
  return new Promise((resolve) => {
    const finish = (outcome: string): void => {
      clearTimeout(timer);
      flow.waiting.delete(finish);
      resolve(outcome);
    };
    const timer = setTimeout(() => finish('silent'), timeoutMs);
    flow.waiting.add(finish);
    send(flow);
  });
}

function echoTcp(request: Extract<AgentRequest, { op: 'echo' }>): Promise<Echo> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('data', (bytes) => {
      echo.received += 1;
      echo.lastAt = Date.now();
      socket.write(bytes);
    });
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  const echo: Echo = {
    received: 0,
    lastAt: 0,
    push: () => sockets.forEach((socket) => socket.write('push')),
    close: () => {
      server.close();
      sockets.forEach((socket) => socket.destroy());
    },
  };
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: request.port, host: request.address ?? '::', ipv6Only: false }, () => resolve(echo));
  });
}

function echoUdp(request: Extract<AgentRequest, { op: 'echo' }>): Promise<Echo> {
  const socket = createSocket({ type: 'udp6', ipv6Only: false, recvBufferSize: 4 * 1024 * 1024 });
  const peers = new Map<string, number>();
  const echo: Echo = {
    received: 0,
    lastAt: 0,
    push: () => peers.forEach((port, address) => socket.send('push', port, address, () => {})),
    close: () => socket.close(),
  };
  socket.on('message', (bytes, from) => {
    echo.received += 1;
    echo.lastAt = Date.now();
    peers.set(from.address, from.port);
    socket.send(bytes, from.port, from.address, () => {});
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(request.port, request.address ?? '::', () => resolve(echo));
  });
}

/** As fast as the socket takes them, in slices that let the kernel send what it queued. */
async function burst(request: Extract<AgentRequest, { op: 'burst' }>): Promise<number> {
  const socket = udp(request.address);
  await new Promise<void>((resolve) => socket.connect(request.port, request.address, resolve));
  let sent = 0;
  while (sent < request.count) {
    const slice = Math.min(200, request.count - sent);
    const results = await Promise.all(
      Array.from(
        { length: slice },
        () => new Promise<boolean>((done) => socket.send('burst', (error) => done(!error))),
      ),
    );
    sent += results.filter(Boolean).length;
    await delay(0);
  }
  socket.close();
  return sent;
}

function flowOf(index: number): Flow {
  const flow = flows[index];
  if (flow === undefined) throw new RangeError(`no flow ${index}`);
  return flow;
}

function echoOf(index: number): Echo {
  const echo = echoes[index];
  if (echo === undefined) throw new RangeError(`no echo server ${index}`);
  return echo;
}

async function perform(request: AgentRequest): Promise<unknown> {
  switch (request.op) {
    case 'probe-tcp':
      return probeTcp(request);
    case 'probe-udp':
      return probeUdp(request);
    case 'flow':
      return request.protocol === 'tcp' ? openTcpFlow(request) : openUdpFlow(request);
    case 'exchange':
      return exchange(flowOf(request.flow), request.timeoutMs);
    case 'stream': {
      const flow = flowOf(request.flow);
      clearInterval(flow.timer);
      if (request.intervalMs > 0) flow.timer = setInterval(() => send(flow), request.intervalMs);
      return undefined;
    }
    case 'report':
      return flowOf(request.flow).report;
    case 'close-flow':
      clearInterval(flowOf(request.flow).timer);
      return flowOf(request.flow).close();
    case 'echo': {
      const echo = request.protocol === 'tcp' ? await echoTcp(request) : await echoUdp(request);
      return echoes.push(echo) - 1;
    }
    case 'received':
      return { received: echoOf(request.echo).received, lastAt: echoOf(request.echo).lastAt };
    case 'push':
      return echoOf(request.echo).push();
    case 'close-echo':
      return echoOf(request.echo).close();
    case 'burst':
      return burst(request);
  }
}

const write = (answer: object): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, ...request } = JSON.parse(line) as AgentRequest & { id: number };
    perform(request).then(
      (result) => write({ id, result: result ?? null }),
      (error: unknown) => write({ id, error: String(error) }),
    );
  })
  // Its owner is gone: nothing here may outlive the network.
  .on('close', () => process.exit(0));
