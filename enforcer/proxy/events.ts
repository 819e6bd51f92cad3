// What the proxy says happened: every denial (identical ones as one with a count), refused input, and a sample of what
// was allowed: the first of each peer and operation in a minute at once, the rest of the minute as a count, or as the
// interface says of its class of messages.
import type { EmitEvent, NewEvent, NewEventData } from '../../audit/spool/index.ts';
import { type Decision, type Fulfilment, obligationName, recordAsked } from '../../policy/engine/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { CodedError } from '../../runtime/errors.ts';
import { auditClassOf, type AuditLevel, type SliceInterface } from '../../policy/bundle/index.ts';
import { createDraw } from '../draw.ts';
import { createEventWindow } from '../event-window.ts';
import type { ProxyLimits } from './limits.ts';
import type { ConnectionInfo, JudgedOperation, Protocol, ProxyOperation } from './protocol.ts';

/** `log`: recorded on disk, each by itself. `notification`: of high severity and says so. */
export const proxyFulfilment: Fulfilment = { ids: ['log', 'notification'], custom: [] };

/** What decides how fully an allow is recorded. */
export interface AuditPorts {
  /** Whether the record has to be on disk before the message goes on. */
  readonly durable: (connection: ConnectionInfo, decision: Decision) => boolean;
  /** The interface as the policy in force says; undefined where nothing is known of it, and allows are counted. */
  readonly entryOf: (interfaceName: string) => SliceInterface | undefined;
  /** Unpredictable bytes. */
  readonly random: (bytes: number) => Uint8Array;
}

type EventsOf = Pick<Protocol, 'name' | 'kind' | 'record'>;

export interface ProxyEvents {
  /** A promise when the record has to be on disk before the request goes on. */
  readonly allowed: (connection: ConnectionInfo, judged: JudgedOperation) => Promise<void> | undefined;
  readonly denied: (connection: ConnectionInfo, judged: JudgedOperation) => void;
  /** Input that is no request, or none that may be asked. */
  readonly refused: (connection: ConnectionInfo, why: string, operation?: ProxyOperation) => void;
  /** A client that did not prove who it is, or whose proof no longer holds. */
  readonly unproven: (connection: ConnectionInfo, error: CodedError) => void;
  /** The server behind an allowed message does not answer. */
  readonly unreachable: (connection: ConnectionInfo, error: CodedError) => void;
  readonly flush: (all?: boolean) => void;
}

export function createProxyEvents(
  protocol: EventsOf,
  emit: EmitEvent,
  clock: Clock,
  limits: ProxyLimits,
  audit: AuditPorts,
  onLost: (error: unknown) => void,
): ProxyEvents {
  const window = (ms: number) => createEventWindow(emit, clock, ms, limits.maxDistinctEvents, onLost);
  const denials = window(limits.denialWindowMs);
  const allows = window(limits.allowWindowMs);
  const isDurable = (connection: ConnectionInfo, decision: Decision): boolean => {
    try {
      return audit.durable(connection, decision);
    } catch {
      return true;
    }
  };
  const draw = createDraw(audit.random);
  const levelOf = (connection: ConnectionInfo, { operation }: JudgedOperation): AuditLevel => {
    const entry = audit.entryOf(connection.interface);
    // What is usual is not worth a look at the operation.
    if (entry === undefined || (entry.protocol !== 'http' && entry.auditClasses === undefined)) return 'counted';
    return auditClassOf(entry, protocol.record(operation).class);
  };
  const single = async (event: NewEvent): Promise<void> => {
    try {
      await emit({ ...event, data: { ...event.data, count: 1 } });
    } catch (error) {
      // The spool counts what it has to drop; an enforcement point does not wait for it.
      onLost(error);
    }
  };
  const record = async (event: NewEvent): Promise<void> => emit({ ...event, data: { ...event.data, count: 1 } }, true);

  const failed =
    (reason: string) =>
    (connection: ConnectionInfo, { code, message }: CodedError): void => {
      const data = { ...peerData(protocol, connection, 'deny', reason), code };
      const event = (more: NewEventData = {}): NewEvent => ({
        kind: protocol.kind,
        activity: 'refuse',
        severity: 'medium',
        data: { ...data, ...more },
      });
      denials.add({
        key: keyOf(connection.source.address, connection.interface, code, message),
        event: () => event({ message }),
        coarse: () => ({ key: keyOf(connection.interface, code), event }),
      });
    };

  return {
    allowed(connection, judged) {
      const { decision } = judged;
      const event = (): NewEvent => decisionEvent(protocol, connection, judged);
      // What has to be done with a request is done with each one.
      const mustBeKept = decision.obligations !== undefined || isDurable(connection, decision);
      // Spared is what passes although it could not be kept: it waits for nothing.
      if (mustBeKept && decision.spared === undefined) return record(event());
      const level = decision.spared === undefined ? levelOf(connection, judged) : 'counted';
      if (level === 'all' || (level !== 'counted' && draw(level.sample))) {
        void single(event());
        return undefined;
      }
      const who = whoOf(connection);
      allows.add({
        key: keyOf(
          who,
          decision.operation,
          decision.rule,
          decision.observed ?? '',
          decision.spared ?? '',
          decision.bundle,
          // No operation of the policy says what it was.
          ...(decision.observed === undefined ? [] : protocol.record(judged.operation).key),
        ),
        event,
        coarse: () => ({ key: who, event: () => withoutOperation(protocol, event(), connection, decision) }),
      });
      return undefined;
    },
    denied(connection, judged) {
      const { operation, decision } = judged;
      const event = (): NewEvent => decisionEvent(protocol, connection, judged);
      const who = whoOf(connection);
      denials.add({
        key: keyOf(who, decision.reason, decision.rule, decision.bundle, ...protocol.record(operation).key),
        event,
        coarse: () => ({
          key: keyOf(connection.subject.id, connection.interface, decision.reason),
          event: () => withoutOperation(protocol, event(), connection, decision),
        }),
      });
    },
    refused(connection, why, operation) {
      const data = { ...peerData(protocol, connection, 'deny', 'malformed'), message: why };
      const event: NewEvent = { kind: protocol.kind, activity: 'refuse', severity: 'medium', data };
      denials.add({
        key: keyOf(connection.source.address, connection.interface, why),
        event: () =>
          operation === undefined ? event : { ...event, data: { ...data, ...protocol.record(operation).data } },
        coarse: () => ({ key: keyOf(connection.interface, 'malformed'), event: () => event }),
      });
    },
    unproven: failed('unproven'),
    unreachable: failed('unreachable'),
    flush(all) {
      denials.flush(all);
      allows.flush(all);
    },
  };
}

/** What is said with an address is not said with a certificate. */
const whoOf = ({ source, subject, interface: name, peer }: ConnectionInfo): string =>
  keyOf(source.address, subject.id, name, peer?.serial ?? '');

/** Lengths in front keep parts apart whatever they hold. */
function keyOf(...parts: readonly (string | number)[]): string {
  return parts.map((part) => `${String(part).length}:${part}`).join('');
}

function decisionEvent(
  protocol: EventsOf,
  connection: ConnectionInfo,
  { operation, decision, asked }: JudgedOperation,
): NewEvent {
  const answer = decision.allow ? 'allow' : 'deny';
  const { data, changes } = protocol.record(operation);
  return {
    kind: protocol.kind,
    activity: answer,
    severity: severityOf(changes, decision),
    bundle: decision.bundle,
    data: {
      ...peerData(protocol, connection, answer, decision.reason),
      ...(asked === undefined ? {} : recordAsked(asked)),
      ...data,
      operation: decision.operation,
      rule: decision.rule,
      place: decision.place,
      ...(decision.condition === undefined ? {} : { condition: decision.condition }),
      ...(decision.obligations === undefined
        ? {}
        : { obligations: decision.obligations.map(obligationName).join(' ') }),
      ...(decision.observed === undefined ? {} : { observed: decision.observed }),
      ...(decision.spared === undefined ? {} : { spared: decision.spared }),
    },
  };
}

function severityOf(changes: boolean, decision: Decision): 'info' | 'medium' | 'high' {
  const notifies = decision.obligations?.some(({ id }) => id === 'notification') ?? false;
  if (decision.allow) return notifies || decision.spared !== undefined ? 'high' : 'info';
  return changes ? 'high' : 'medium';
}

/** What stands for many different operations names none of them. */
function withoutOperation(
  protocol: EventsOf,
  event: NewEvent,
  connection: ConnectionInfo,
  decision: Decision,
): NewEvent {
  return { ...event, data: peerData(protocol, connection, decision.allow ? 'allow' : 'deny', decision.reason) };
}

function peerData(
  protocol: EventsOf,
  connection: ConnectionInfo,
  answer: 'allow' | 'deny',
  reason: string,
): NewEventData {
  const { source, destination, subject, peer, addressOf } = connection;
  return {
    subject: subject.id,
    peer: source.address,
    interface: connection.interface,
    decision: answer,
    reason,
    protocol: protocol.name,
    source_ip: source.address,
    source_port: source.port,
    destination_ip: destination.address,
    destination_port: destination.port,
    ...(peer === undefined ? {} : { serial: peer.serial }),
    ...(addressOf === undefined ? {} : { address_subject: addressOf }),
  };
}
