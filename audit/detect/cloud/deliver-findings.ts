// Findings leave the control plane: JSON by webhook (POST) and RFC 5424 syslog over TCP (RFC 6587 octet counting) or UDP.
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { backoff } from '../../../runtime/tasks.ts';
import type { Task } from '../../../runtime/tasks.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { formatError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { detectErrors } from '../errors.ts';
import { deliveryTimeoutMs, maxDeliveryAttempts, maxDeliveryQueue } from '../limits.ts';
import type { Finding } from './findings.ts';

export type Send = (finding: Finding) => Promise<void>;

export interface FindingDelivery {
  readonly task: Task;
  enqueue(finding: Finding): void;
}

/** Sends each finding to every target, in order, with retries; a target that stays away does not hold up the others. */
export function createFindingDelivery(ports: {
  targets: Readonly<Record<string, Send>>;
  clock: Clock;
  log: Logger;
  random?: () => number;
}): FindingDelivery {
  const queues = Object.entries(ports.targets).map(([name, send]) => ({
    name,
    send,
    waiting: [] as Finding[],
    wake: (): void => undefined,
  }));

  const drain =
    (queue: (typeof queues)[number]): Task =>
    async (signal) => {
      while (!signal.aborted) {
        const finding = queue.waiting.shift();
        if (finding === undefined) {
          await new Promise<void>((resolve) => {
            queue.wake = resolve;
            signal.addEventListener('abort', () => resolve(), { once: true });
          });
        } else await attempt(queue, finding, signal);
      }
    };

  async function attempt(queue: (typeof queues)[number], finding: Finding, signal: AbortSignal): Promise<void> {
    for (let tries = 0; tries < maxDeliveryAttempts && !signal.aborted; tries++) {
      try {
        return await queue.send(finding);
      } catch (error) {
        ports.log.warn(
          { target: queue.name, finding: finding.id, error: formatError(error) },
          'finding not delivered yet',
        );
        await ports.clock
          .sleep(backoff(tries, { firstMs: 500, maxMs: 30_000 }, ports.random), signal)
          .catch(() => undefined);
      }
    }
    ports.log.error(
      { target: queue.name, finding: finding.id },
      'finding given up for this target; it stays in the database',
    );
  }

  return {
    task: async (signal) => {
      await Promise.all(queues.map(async (queue) => await drain(queue)(signal)));
    },
    enqueue: (finding) => {
      for (const queue of queues) {
        queue.waiting.push(finding);
        if (queue.waiting.length > maxDeliveryQueue) {
          const dropped = queue.waiting.shift();
          ports.log.error(
            { target: queue.name, finding: dropped?.id },
            'delivery queue full; finding stays in the database',
          );
        }
        queue.wake();
      }
    },
  };
}

export const findingDocument = (finding: Finding) => ({ type: 'edgeward.finding', version: 1, ...finding });

export function webhook(url: string): Send {
  return async (finding) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'edgeward' },
      body: JSON.stringify(findingDocument(finding)),
      redirect: 'error',
      signal: AbortSignal.timeout(deliveryTimeoutMs),
    }).catch((cause: unknown) => {
      throw detectErrors.error('DETECT_DELIVERY_FAILED', `webhook ${url}: no answer`, { cause });
    });
    await response.body?.cancel();
    if (!response.ok) throw detectErrors.error('DETECT_DELIVERY_FAILED', `webhook ${url}: HTTP ${response.status}`);
  };
}

const severities = { informational: 6, low: 5, medium: 4, high: 3, critical: 2 } as const;
/** RFC 5424 facility 13, log audit. */
const facility = 13;

/** One RFC 5424 message: structured data for machines, the title for people. */
export function syslogMessage(finding: Finding, host: string): string {
  const escape = (value: string): string =>
    value.replaceAll(/["\\\]]/g, String.raw`\$&`).replaceAll(/[^\x20-\x7e]/g, '?');
  const parameters = {
    id: finding.id,
    rule: finding.ruleId,
    level: finding.level,
    device: finding.device,
    reporter: finding.reporter,
    count: String(finding.count),
    evidence: finding.evidence.slice(0, 20).join(','),
  };
  const data = Object.entries(parameters).map(([name, value]) => `${name}="${escape(value)}"`);
  const time = new Date(finding.foundAt).toISOString();
  // 32473 is the private enterprise number that RFC 5612 reserves for documentation.
  return `<${facility * 8 + severities[finding.level]}>1 ${time} ${host} edgeward - finding [edgeward@32473 ${data.join(' ')}] ${escape(finding.title)}`;
}

/** `tcp://host:port` or `udp://host:port`. */
export function syslog(target: string): Send {
  const match = /^(tcp|udp):\/\/\[?([^\]/]+?)\]?:(\d{1,5})$/.exec(target);
  if (match === null)
    throw detectErrors.error(
      'DETECT_DELIVERY_FAILED',
      `syslog target ${target}: expected tcp://host:port or udp://host:port`,
    );
  const [, protocol, host = '', port = ''] = match;
  const sendBytes = protocol === 'tcp' ? sendTcp : sendUdp;
  return async (finding) => {
    const message = Buffer.from(syslogMessage(finding, hostname()), 'utf8');
    await sendBytes(host, Number(port), message).catch((cause: unknown) => {
      throw detectErrors.error('DETECT_DELIVERY_FAILED', `syslog ${target}: not sent`, { cause });
    });
  };
}

function sendTcp(host: string, port: number, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.setTimeout(deliveryTimeoutMs, () => socket.destroy(new Error('timed out')));
    socket.once('error', reject);
    socket.once('close', () => resolve());
    socket.resume();
    socket.once('connect', () => socket.end(Buffer.concat([Buffer.from(`${message.length} `), message])));
  });
}

function sendUdp(host: string, port: number, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.send(message, port, host, (error) => {
      socket.close();
      if (error === null) resolve();
      else reject(error);
    });
  });
}
