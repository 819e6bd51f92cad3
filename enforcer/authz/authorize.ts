// The one decision path under every request enforcement point: establish the subject, ask the engine, remember, answer. A
// fault anywhere on the way is a denial with reason `fault`; nothing here can raise an allow. An answer that waits for
// nothing is given at once, without a promise.
import {
  type AccessRequest,
  type Asked,
  type Attribute,
  type AttributeValue,
  type Decision,
  type Fulfilment,
  lookOnly,
  type Usage,
  withdrawn,
} from '../../policy/engine/index.ts';
import type { HttpReads } from '../../policy/bundle/index.ts';
import { noRequestUsage, type RequestUsage, unrecorded } from '../request-usage.ts';
import type { DecisionLog } from './decision-log.ts';
import { type Admission, overloaded } from './overload.ts';
import { asksFor, obligationsOf } from './obligations.ts';
import type { Answer, Assertions, Identified, Judged, PeerEvidence, Question } from './question.ts';

export interface Abilities {
  readonly usage: Usage;
  readonly fulfilment: Fulfilment;
  /** Hears what the engine was asked, and whether the counts of a limited grant had a say. */
  readonly heard: (asked: Asked, limited: boolean) => void;
}

export interface AuthzPorts {
  /** The engine in force under the freshness of its bundle; answers `no-bundle` without one and never throws. */
  readonly decide: (request: AccessRequest, abilities: Abilities) => Decision;
  /** The counts of limited grants for one request. */
  readonly usage: () => RequestUsage;
  /** Verifies the evidence and joins it with the device's state. Throws or rejects when it does not verify. */
  readonly identify: (peer: PeerEvidence) => Identified | Promise<Identified>;
  readonly log: DecisionLog;
  /** Whether audit of this interface has to be on disk before the answer leaves. */
  readonly auditDurable: (interfaceName: string) => boolean;
  /** What the policy in force asks of requests to the interface beside method and path. Default: nothing. */
  readonly httpReads?: (interfaceName: string) => HttpReads | undefined;
  /** Trusted time, milliseconds since the epoch. */
  readonly now: () => number;
  /** Bounds who waits; absent for who asks one question at a time. */
  readonly admission?: Admission;
}

/** `log`: the event is on disk before the answer leaves. `notification`: it is of high severity and says so. */
const ownFulfilment: Fulfilment = { ids: ['log', 'notification'], custom: [] };

const nobody: Identified = { id: '', binding: 'svid', state: 'unknown', attributes: {} };

const fault = (bundle: string): Decision => ({
  allow: false,
  reason: 'fault',
  rule: '',
  place: '',
  operation: '',
  bundle,
});

/** Never throws, never rejects. */
export function authorize(ports: AuthzPorts, question: Question): Answer | Promise<Answer> {
  const { admission } = ports;
  if (admission === undefined) return answer(ports, question);
  if (!admission.admits(question)) return overloaded;
  const given = answer(ports, question);
  return given instanceof Promise ? admission.wait(question, given) : given;
}

function answer(ports: AuthzPorts, question: Question): Answer | Promise<Answer> {
  const caller = establish(ports, question.peer);
  return caller instanceof Promise
    ? caller.then((known) => answerTo(ports, question, known))
    : answerTo(ports, question, caller);
}

/** What would be answered, for who looks for what is allowed: takes no use, records nothing. Never throws, never rejects. */
export function consider(ports: AuthzPorts, peer: PeerEvidence): Consideration | Promise<Consideration> {
  const usage = lookOnly(usageOf(ports));
  const considering = (caller: Caller): Consideration => ({
    subject: caller.subject,
    judge: (question) => judge(ports, question, caller, usage),
  });
  const caller = establish(ports, peer);
  return caller instanceof Promise ? caller.then(considering) : considering(caller);
}

export interface Consideration {
  readonly subject: Identified;
  /** The peer of the question is not looked at. */
  readonly judge: (question: Question) => Judged;
}

function answerTo(ports: AuthzPorts, question: Question, caller: Caller): Answer | Promise<Answer> {
  const usage = usageOf(ports);
  const first = judge(ports, question, caller, usage);
  const writing = first.decision.allow ? usage.recorded() : undefined;
  const durable = auditIsDurable(ports, question.interface) || asksFor(first.decision, 'log');
  if (writing !== undefined || durable) return answerFromDisk(ports, question, { first, writing, durable, usage });
  ports.log.note(question, first);
  return first;
}

interface Waiting {
  readonly first: Judged;
  readonly writing: Promise<boolean> | undefined;
  readonly durable: boolean;
  readonly usage: RequestUsage;
}

async function answerFromDisk(
  ports: AuthzPorts,
  question: Question,
  { first, writing, durable, usage }: Waiting,
): Promise<Answer> {
  const judged = writing === undefined || (await writing) ? first : { ...first, decision: unrecorded(first.decision) };
  const { log } = ports;
  if (durable) {
    // What cannot be remembered is not allowed where it has to be; elsewhere the log counts what it had to drop.
    if (!(await isKept(log, question, judged))) return { ...judged, decision: fault(judged.decision.bundle) };
  } else log.note(question, judged);
  if (!judged.decision.allow) return judged;
  // The disk took its time; an order that came meanwhile counts. So does a bundle that asks for something else.
  const later = judge(ports, question, await establish(ports, question.peer), usage.settled);
  const again = obligationsOf(later.decision) === obligationsOf(judged.decision) ? later : changed(later);
  if (!again.decision.allow) await isKept(log, question, again);
  return again;
}

async function isKept(log: DecisionLog, question: Question, judged: Judged): Promise<boolean> {
  try {
    await log.keep(question, judged);
    return true;
  } catch {
    return false;
  }
}

function usageOf(ports: AuthzPorts): RequestUsage {
  try {
    return ports.usage();
  } catch {
    return noRequestUsage;
  }
}

const changed = (judged: Judged): Judged =>
  judged.decision.allow ? { ...judged, decision: withdrawn(judged.decision, 'fault') } : judged;

interface Caller {
  readonly subject: Identified;
  readonly message: string;
}

const anonymous: Caller = { subject: nobody, message: '' };

/** Nobody where there is no evidence, and where it does not verify. Never throws, never rejects. */
function establish(ports: AuthzPorts, peer: PeerEvidence): Caller | Promise<Caller> {
  if (!hasEvidence(peer)) return anonymous;
  try {
    const subject = ports.identify(peer);
    return subject instanceof Promise
      ? subject.then((known) => ({ subject: known, message: '' }), unverified)
      : { subject, message: '' };
  } catch (error) {
    return unverified(error);
  }
}

const unverified = (error: unknown): Caller => ({
  subject: nobody,
  message: error instanceof Error ? error.message : 'unverifiable evidence',
});

const hasEvidence = (peer: PeerEvidence): boolean =>
  (peer.certificatePem ?? '') !== '' ||
  (peer.principal ?? '') !== '' ||
  (peer.bearer ?? '') !== '' ||
  (peer.asserted ?? '') !== '';

/** What the engine says, now. Never throws. */
function judge(ports: AuthzPorts, question: Question, { subject, message }: Caller, usage: Usage): Judged {
  try {
    const request = accessRequest(question, subject, ports.now());
    const fulfilment = fulfilmentOf(question, subject);
    let asked: Asked | undefined;
    let limited = false;
    const heard: Abilities['heard'] = (what, counted) => {
      asked = what;
      limited = counted;
    };
    // What is denied whatever the policy says takes no use.
    const counts = question.ambiguous === undefined ? usage : lookOnly(usage);
    const decision = ports.decide(request, { usage: counts, fulfilment, heard });
    return { subject: subject.id, decision: readOneWay(question, decision), message, asked, limited, fulfilment };
  } catch {
    return { subject: subject.id, decision: fault(''), message };
  }
}

/** What the point does itself, what its proxy says it does, and what the caller has proven. */
function fulfilmentOf({ fulfils }: Question, { provenLevel }: Identified): Fulfilment {
  if (fulfils === undefined && provenLevel === undefined) return ownFulfilment;
  return {
    ids: [...ownFulfilment.ids, ...(fulfils?.ids ?? [])],
    custom: fulfils?.custom ?? [],
    anyLevel: fulfils?.anyLevel ?? false,
    levels: provenLevel === undefined ? [] : [provenLevel],
  };
}

/** What two readers understand differently is not allowed, in observe mode either. */
function readOneWay({ ambiguous }: Question, decision: Decision): Decision {
  return ambiguous === undefined || !decision.allow ? decision : withdrawn(decision, 'ambiguous', ambiguous);
}

function auditIsDurable(ports: AuthzPorts, interfaceName: string): boolean {
  try {
    return ports.auditDurable(interfaceName);
  } catch {
    return true;
  }
}

function accessRequest(question: Question, subject: AccessRequest['subject'], time: number): AccessRequest {
  const { assertions } = question;
  return {
    subject: assertions === undefined ? subject : withAsserted(subject, assertions, time),
    operation: question.operation,
    resource: { interface: question.interface, attributes: dated(assertions?.resource, time) },
    context: {
      time,
      source: question.source,
      connection: question.connection,
      attributes: dated(question.attributes ?? assertions?.context, time),
    },
  };
}

/** What a verified source says of the subject stays as it says. */
function withAsserted(
  subject: AccessRequest['subject'],
  assertions: Assertions,
  time: number,
): AccessRequest['subject'] {
  return { ...subject, attributes: { ...dated(assertions.subject, time), ...subject.attributes } };
}

/** What is said with a request holds at the moment of the request. */
function dated(said: Readonly<Record<string, AttributeValue>> | undefined, time: number): Record<string, Attribute> {
  if (said === undefined) return {};
  return Object.fromEntries(
    Object.entries(said).map(([name, value]): [string, Attribute] => [name, { value, asOf: time }]),
  );
}
