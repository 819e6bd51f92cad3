// Findings leave the control plane: JSON by webhook (POST) and RFC 5424 syslog over TCP (RFC 6587 octet counting) or UDP
// (RFC 5426). What cannot be delivered stays in the database; a receiver tells repeated deliveries by the finding's id.
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { backoff } from '../../../runtime/tasks.ts';
import type { Task } from '../../../runtime/tasks.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { formatError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { visible } from '../../../runtime/table.ts';
import { detectErrors } from '../errors.ts';
import { deliveryTimeoutMs, maxDeliveryAttempts, maxDeliveryQueue, maxSyslogEvidence } from '../limits.ts';
import type { Finding } from './findings.ts';

/** Delivers one finding, or throws. */
export type Send = (finding: Finding) => Promise<void>;

export interface FindingDelivery {
  readonly task: Task;
  enqueue(finding: Finding): void;
}

interface Queue {
  readonly name: string;
  readonly send: Send;
  readonly waiting: Finding[];
  wake: () => void;
}

/** Sends each finding to every target, in order, with retries; a target that stays away does not hold up the others. */
export function createFindingDelivery(ports: {
  targets: Readonly<Record<string, Send>>;
  clock: Clock;
  log: Logger;
  random?: () => number;
}): FindingDelivery {
  const queues = Object.entries(ports.targets).map(([name, send]): Queue => ({
    name,
    send,
    waiting: [],
    wake: () => undefined,
  }));

  async function drain(queue: Queue, signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => queue.wake(), { once: true });
    while (!signal.aborted) {
      const finding = queue.waiting.shift();
      if (finding !== undefined) await deliver(queue, finding, signal);
      else {
        await new Promise<void>((resolve) => {
          queue.wake = resolve;
        });
      }
    }
  }

  async function deliver(queue: Queue, finding: Finding, signal: AbortSignal): Promise<void> {
    const about = { target: queue.name, finding: finding.id };
    for (let tries = 1; !signal.aborted; tries++) {
      try {
        return await queue.send(finding);
      } catch (error) {
        const problem = { ...about, error: formatError(error) };
        if (tries === maxDeliveryAttempts) {
          ports.log.error(problem, 'finding given up for this target; it stays in the database');
          return;
        }
        ports.log.warn(problem, 'finding not delivered yet');
        const wait = backoff(tries - 1, { firstMs: 500, maxMs: 30_000 }, ports.random);
        await ports.clock.sleep(wait, signal).catch(() => undefined);
      }
    }
  }

  return {
    task: async (signal) => {
      await Promise.all(queues.map(async (queue) => await drain(queue, signal)));
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

/** `http://` or `https://`. Errors name only the origin: path and query of a webhook are often its secret. */
export function webhook(url: string): Send {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (
    parsed === undefined ||
    !['http:', 'https:'].includes(parsed.protocol) ||
    parsed.username + parsed.password !== ''
  ) {
    throw detectErrors.error('DETECT_TARGET_INVALID', 'webhook: expected an http or https URL without a user name');
  }
  const failed = (why: string, cause?: unknown) =>
    detectErrors.error('DETECT_DELIVERY_FAILED', `webhook ${parsed.origin}: ${why}`, { cause });
  return async (finding) => {
    const response = await fetch(parsed, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'edgeward' },
      body: JSON.stringify(findingDocument(finding)),
      redirect: 'error',
      signal: AbortSignal.timeout(deliveryTimeoutMs),
    }).catch((cause: unknown) => {
      throw failed('no answer', cause);
    });
    await response.body?.cancel();
    if (!response.ok) throw failed(`HTTP ${response.status}`);
  };
}

/** RFC 5424 severities; facility 13 is "log audit". */
const severities = { informational: 6, low: 5, medium: 4, high: 3, critical: 2 } as const;
const facility = 13;

/** One RFC 5424 message: structured data for machines, the title for people. */
export function syslogMessage(finding: Finding, host: string): string {
  const parameters = {
    id: finding.id,
    rule: finding.ruleId,
    level: finding.level,
    device: finding.device,
    reporter: finding.reporter,
    count: String(finding.count),
    evidence: finding.evidence.slice(0, maxSyslogEvidence).join(','),
  };
  const data = Object.entries(parameters).map(([name, value]) => `${name}="${escapeValue(value)}"`);
  const priority = facility * 8 + severities[finding.level];
  const time = new Date(finding.foundAt).toISOString();
  // 32473 is the private enterprise number that RFC 5612 reserves for documentation.
  return `<${priority}>1 ${time} ${host} edgeward - finding [edgeward@32473 ${data.join(' ')}] ${visible(finding.title)}`;
}

/** PARAM-VALUE (RFC 5424 section 6.3.3). Control characters are shown: a forged newline must not start a message. */
const escapeValue = (value: string): string => visible(value).replaceAll(/["\\\]]/g, String.raw`\$&`);

/** `tcp://host:port` or `udp://host:port`. */
export function syslog(target: string): Send {
  const [, protocol, host = '', port = ''] = /^(tcp|udp):\/\/\[?([^\]/]+?)\]?:(\d{1,5})$/.exec(target) ?? [];
  if (protocol === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw detectErrors.error(
      'DETECT_TARGET_INVALID',
      `syslog: expected tcp://host:port or udp://host:port, found ${target}`,
    );
  }
  const sendBytes = protocol === 'tcp' ? sendTcp : sendUdp;
  return async (finding) => {
    const message = Buffer.from(syslogMessage(finding, hostname()), 'utf8');
    await sendBytes(host, Number(port), message).catch((cause: unknown) => {
      throw detectErrors.error('DETECT_DELIVERY_FAILED', `syslog ${target}: not sent`, { cause });
    });
  };
}

/** Resolves when the receiver closed its side too, or kept it open but took the bytes; syslog has no other receipt. */
function sendTcp(host: string, port: number, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.setTimeout(deliveryTimeoutMs, () => {
      socket.destroy(socket.writableFinished ? undefined : new Error('timed out'));
    });
    socket.once('error', reject);
    socket.once('close', () => resolve());
    socket.resume();
    socket.once('connect', () => socket.end(Buffer.concat([Buffer.from(`${message.length} `), message])));
  });
}

function sendUdp(host: string, port: number, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', reject);
    socket.send(message, port, host, (error) => {
      socket.close();
      if (error === null) resolve();
      else reject(error);
    });
  });
}
