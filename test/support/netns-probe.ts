// The owner's side of a netns agent: probes, flows and echo servers of one host as objects with promises.
import type { ChildProcess } from 'node:child_process';
import { lineRequests } from './line-requests.ts';

/** What a probe met: an open port, a refusal (RST, ICMP), a reset after opening, silence, or no route. */
export type ProbeResult = 'open' | 'refused' | 'reset' | 'silent' | 'unreachable';
export type Protocol = 'tcp' | 'udp';

export interface FlowReport {
  state: 'open' | 'reset' | 'closed';
  sent: number;
  answered: number;
  /** Wall clock milliseconds; 0 for never. */
  lastAnswerAt: number;
  endedAt: number;
}

export type AgentRequest =
  | { op: 'probe-tcp'; address: string; port: number; source?: string; timeoutMs: number }
  | { op: 'probe-udp'; address: string; port: number; timeoutMs: number }
  | { op: 'flow'; protocol: Protocol; address: string; port: number }
  | { op: 'exchange'; flow: number; timeoutMs: number }
  | { op: 'stream'; flow: number; intervalMs: number }
  | { op: 'report'; flow: number }
  | { op: 'close-flow'; flow: number }
  | { op: 'echo'; protocol: Protocol; port: number; address?: string }
  | { op: 'received'; echo: number }
  | { op: 'push'; echo: number }
  | { op: 'close-echo'; echo: number }
  | { op: 'burst'; address: string; port: number; count: number };

/** A TCP connection or a UDP association that sends "ping" and counts what comes back. */
export interface Flow {
  /** One message; `answered`, or how it failed within `timeoutMs` (default 1,000). */
  exchange(timeoutMs?: number): Promise<'answered' | 'silent' | 'reset' | 'closed'>;
  /** Sends every `intervalMs` until told 0. */
  stream(intervalMs: number): Promise<void>;
  report(): Promise<FlowReport>;
  close(): Promise<void>;
}

/** Answers every message with itself. */
export interface EchoServer {
  received(): Promise<{ readonly received: number; readonly lastAt: number }>;
  /** Sends unasked to everyone it has heard from. */
  push(): Promise<void>;
  close(): Promise<void>;
}

export interface Agent {
  probeTcp(address: string, port: number, options?: { timeoutMs?: number; source?: string }): Promise<ProbeResult>;
  probeUdp(address: string, port: number, options?: { timeoutMs?: number }): Promise<ProbeResult | 'answered'>;
  flow(protocol: Protocol, address: string, port: number): Promise<Flow>;
  echo(protocol: Protocol, port: number, address?: string): Promise<EchoServer>;
  /** Sends `count` datagrams as fast as it can; the number that left. */
  burst(address: string, port: number, count: number): Promise<number>;
}

/** Milliseconds that count as silence. Names resolve to nothing here, so an answer takes far less. */
const SILENCE_MS = 700;

export function agentOf(child: ChildProcess): Agent {
  const requests = lineRequests(child, 'the agent');
  const ask = (request: AgentRequest): Promise<unknown> => requests(request);
  return {
    probeTcp: (address, port, options = {}) =>
      ask({ op: 'probe-tcp', address, port, timeoutMs: SILENCE_MS, ...options }) as Promise<ProbeResult>,
    probeUdp: (address, port, options = {}) =>
      ask({ op: 'probe-udp', address, port, timeoutMs: SILENCE_MS, ...options }) as Promise<ProbeResult | 'answered'>,
    async flow(protocol, address, port) {
      const flow = (await ask({ op: 'flow', protocol, address, port })) as number;
      return {
        exchange: (timeoutMs = 1_000) => ask({ op: 'exchange', flow, timeoutMs }) as ReturnType<Flow['exchange']>,
        stream: async (intervalMs) => void (await ask({ op: 'stream', flow, intervalMs })),
        report: () => ask({ op: 'report', flow }) as Promise<FlowReport>,
        close: async () => void (await ask({ op: 'close-flow', flow })),
      };
    },
    async echo(protocol, port, address) {
      const echo = (await ask({ op: 'echo', protocol, port, ...(address === undefined ? {} : { address }) })) as number;
      return {
        received: () => ask({ op: 'received', echo }) as ReturnType<EchoServer['received']>,
        push: async () => void (await ask({ op: 'push', echo })),
        close: async () => void (await ask({ op: 'close-echo', echo })),
      };
    },
    burst: (address, port, count) => ask({ op: 'burst', address, port, count }) as Promise<number>,
  };
}
