// The one decision path under every request enforcement point: establish the subject, ask the engine, put the event in
// the spool, answer. A fault anywhere on the way is a denial with reason `fault`; nothing here can raise an allow.
import {
  type AccessRequest,
  type Attribute,
  type Decision,
  type Fulfilment,
  obligationName,
  type Usage,
  withdrawn,
} from '../../policy/engine/index.ts';
import type { EmitEvent } from '../../audit/spool/index.ts';
import { noRequestUsage, type RequestUsage, unrecorded } from '../request-usage.ts';

/** What a proxy can say of its peer. Only fields that the proxy itself owns; never a header of the client. */
export interface PeerEvidence {
  /** PEM of the client's leaf certificate, verified again here. */
  readonly certificatePem?: string;
  /** SPIFFE ID that the proxy names its peer by; whether a name alone counts is for `identify` to say. */
  readonly principal?: string;
}

/** A request as an HTTP enforcement point saw it. */
export interface HttpQuestion {
  /** Interface name from the proxy's own configuration. */
  readonly interface: string;
  readonly method: string;
  /** Raw request target, query included, exactly as the client sent it. */
  readonly target: string;
  readonly peer: PeerEvidence;
  /** `address:port` of the client; empty when unknown. */
  readonly connection: string;
  readonly source: 'ext-authz' | 'forward-auth';
  /** Context attributes from the proxy's own configuration, by name. */
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface AuthzPorts {
  /** The engine in force under the freshness of its bundle; answers `no-bundle` without one and never throws. */
  readonly decide: (request: AccessRequest, abilities: { usage: Usage; fulfilment: Fulfilment }) => Decision;
  /** The counts of limited grants for one request. */
  readonly usage: () => RequestUsage;
  /** Verifies the evidence and joins it with the device's state. Throws when it does not verify. */
  readonly identify: (peer: PeerEvidence) => AccessRequest['subject'];
  readonly emit: EmitEvent;
  /** Whether audit of this interface has to be on disk before the answer leaves. */
  readonly auditDurable: (interfaceName: string) => boolean;
  /** Trusted time, milliseconds since the epoch. */
  readonly now: () => number;
}

/** `log`: the event is on disk before the answer leaves. `notification`: it is of high severity and says so. */
const fulfilment: Fulfilment = { ids: ['log', 'notification'], custom: [] };

export interface Answer {
  readonly decision: Decision;
  /** Device id of the established subject; empty when nobody could be established. */
  readonly subject: string;
}

const nobody: AccessRequest['subject'] = { id: '', binding: 'svid', state: 'unknown', attributes: {} };

const fault = (bundle: string): Decision => ({
  allow: false,
  reason: 'fault',
  rule: '',
  place: '',
  operation: '',
  bundle,
});

export async function authorize(ports: AuthzPorts, question: HttpQuestion): Promise<Answer> {
  const usage = usageOf(ports);
  const first = judge(ports, question, usage);
  const writing = first.decision.allow ? usage.recorded() : undefined;
  const judged = writing === undefined || (await writing) ? first : { ...first, decision: unrecorded(first.decision) };
  const { subject } = judged;
  const durable = auditIsDurable(ports, question.interface) || asksFor(judged.decision, 'log');
  try {
    await ports.emit(decisionEvent(question, judged), durable);
  } catch {
    // What cannot be remembered is not allowed on an interface that asked for durable audit; elsewhere the spool
    // counts what it had to drop.
    if (durable) return { subject, decision: fault(judged.decision.bundle) };
  }
  if ((!durable && writing === undefined) || !judged.decision.allow) return { subject, decision: judged.decision };
  // The disk took its time; an order that came meanwhile counts. So does a bundle that asks for something else.
  const later = judge(ports, question, usage.settled);
  const again = obligationsOf(later.decision) === obligationsOf(judged.decision) ? later : changed(later);
  if (again.decision.allow) return { subject: again.subject, decision: again.decision };
  await ports.emit(decisionEvent(question, again), true).catch(() => undefined);
  return { subject: again.subject, decision: again.decision };
}

interface Judged {
  readonly subject: string;
  readonly decision: Decision;
  /** Why the evidence did not verify; empty when it did. */
  readonly message: string;
}

function usageOf(ports: AuthzPorts): RequestUsage {
  try {
    return ports.usage();
  } catch {
    return noRequestUsage;
  }
}

const asksFor = ({ obligations }: Decision, id: string): boolean =>
  obligations?.some((obligation) => obligation.id === id) ?? false;

const obligationsOf = ({ obligations }: Decision): string => (obligations ?? []).map(obligationName).join(' ');

const changed = (judged: Judged): Judged =>
  judged.decision.allow ? { ...judged, decision: withdrawn(judged.decision, 'fault') } : judged;

/** Who asks and what the engine says, now. Never throws. */
function judge(ports: AuthzPorts, question: HttpQuestion, usage: Usage): Judged {
  let subject = nobody;
  let message = '';
  try {
    subject = hasEvidence(question.peer) ? ports.identify(question.peer) : nobody;
  } catch (error) {
    message = error instanceof Error ? error.message : 'unverifiable evidence';
  }
  try {
    const request = accessRequest(question, subject, ports.now());
    return { subject: subject.id, decision: ports.decide(request, { usage, fulfilment }), message };
  } catch {
    return { subject: subject.id, decision: fault(''), message };
  }
}

function auditIsDurable(ports: AuthzPorts, interfaceName: string): boolean {
  try {
    return ports.auditDurable(interfaceName);
  } catch {
    return true;
  }
}

const hasEvidence = (peer: PeerEvidence): boolean =>
  (peer.certificatePem ?? '') !== '' || (peer.principal ?? '') !== '';

function accessRequest(question: HttpQuestion, subject: AccessRequest['subject'], time: number): AccessRequest {
  return {
    subject,
    operation: { protocol: 'http', method: question.method, path: question.target },
    resource: { interface: question.interface, attributes: {} },
    context: {
      time,
      source: question.source,
      connection: question.connection,
      attributes: contextAttributes(question.attributes ?? {}, time),
    },
  };
}

/** What the proxy's configuration says holds at the moment of the request. */
function contextAttributes(said: Readonly<Record<string, string>>, time: number): Record<string, Attribute> {
  return Object.fromEntries(
    Object.entries(said).map(([name, value]): [string, Attribute] => [name, { value, asOf: time }]),
  );
}

function decisionEvent(question: HttpQuestion, { subject, decision, message }: Judged) {
  const { address, port } = splitConnection(question.connection);
  return {
    kind: 'authz' as const,
    activity: decision.allow ? 'allow' : 'deny',
    severity: severityOf(decision),
    bundle: decision.bundle,
    data: {
      subject,
      interface: question.interface,
      operation: decision.operation,
      method: question.method.slice(0, 32),
      path: question.target.slice(0, 2048),
      decision: decision.allow ? 'allow' : 'deny',
      reason: decision.reason,
      rule: decision.rule,
      place: decision.place,
      source_ip: address,
      source_port: port,
      enforcement_point: question.source,
      ...(decision.condition === undefined ? {} : { condition: decision.condition }),
      ...(decision.obligations === undefined ? {} : { obligations: obligationsOf(decision) }),
      ...(decision.observed === undefined ? {} : { observed: decision.observed }),
      ...(message === '' ? {} : { message: message.slice(0, 256) }),
    },
  };
}

function severityOf(decision: Decision): 'info' | 'medium' | 'high' {
  if (!decision.allow) return 'medium';
  return asksFor(decision, 'notification') ? 'high' : 'info';
}

/** Splits `192.0.2.1:443` or `[2001:db8::1]:443`; an unknown connection gives an empty address and port 0. */
export function splitConnection(connection: string): { address: string; port: number } {
  const match = /^\[?([0-9a-fA-F:.]+?)\]?:(\d{1,5})$/.exec(connection);
  return match === null ? { address: '', port: 0 } : { address: match[1] ?? '', port: Number(match[2]) };
}
