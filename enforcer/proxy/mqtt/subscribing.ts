// SUBSCRIBE, UNSUBSCRIBE and their answers (MQTT 3.1.1 and 5.0, sections 3.8 to 3.11). Each filter is judged for itself;
// what is not granted as a whole is narrowed.
import { MAX_MQTT_FILTERS } from '../limits.ts';
import type { Ask, JudgedOperation, Message, Outcome, ProxyOperation } from '../protocol.ts';
import { encode } from './encode.ts';
import { closing, outcome, passing } from './messages.ts';
import { asSubscription, largestParts, namesOf, type Part, partsOf } from './narrowing.ts';
import { subscribeOperation } from './operations.ts';
import type { Suback, Subscribe, Subscription, Unsuback, Unsubscribe } from './packet.ts';
import { reasons } from './reasons.ts';
import type { Session } from './session.ts';
import { answerCodes, type Layout } from './subscriptions.ts';
import { parseTopicFilter } from './topic.ts';

/** A filter that was asked for, and the subscriptions that can be made of it, the whole first. */
interface Wanted {
  readonly subscription: Subscription;
  readonly parts: readonly { readonly part: Part; readonly operation: ProxyOperation }[];
}

/** What a SUBSCRIBE became. */
interface Plan {
  readonly subscriptions: readonly Subscription[];
  readonly layout: Layout;
  readonly told: readonly JudgedOperation[];
  readonly made: readonly (readonly [filter: string, parts: readonly string[]])[];
}

export function subscribing(packet: Subscribe, bytes: Buffer, session: Session): Message {
  const { packetId, properties } = packet;
  let wanted: readonly Wanted[] = [];
  return {
    ask(): Ask {
      const fault = requestFault(packetId, packet.subscriptions.length, session);
      if (fault !== undefined) return fault;
      wanted = packet.subscriptions.map((subscription) => wantedOf(subscription, session));
      const operations = wanted.flatMap(({ parts }) => parts.map(({ operation }) => operation));
      if (operations.length > MAX_MQTT_FILTERS) return tooMany(session);
      return { kind: 'operations', combine: 'each', operations };
    },
    settle(judged) {
      const plan = planOf(wanted, judged, session);
      const { subscriptions, layout, told, made } = plan;
      if (subscriptions.length === 0) return nothingGranted(packetId, plan, session);
      const onward = isUnchanged(packet.subscriptions, subscriptions)
        ? bytes
        : encode({ type: 'subscribe', packetId, properties, subscriptions }, session.version);
      if (onward.length > session.serverMaximum) return nothingGranted(packetId, plan, session);
      return {
        onward,
        told,
        done: () => {
          session.subscriptions.await(packetId, { type: 'subscribe', sent: subscriptions.length, layout });
          for (const [filter, parts] of made) session.subscriptions.made(filter, parts);
        },
      };
    },
  };
}

function requestFault(packetId: number, filters: number, session: Session): Ask | undefined {
  if (filters > MAX_MQTT_FILTERS) return tooMany(session);
  if (!session.isInUse(packetId)) return undefined;
  const back = session.goodbye(reasons.protocolError);
  return { kind: 'close', why: `packet identifier ${packetId} is in use`, ...(back === undefined ? {} : { back }) };
}

function tooMany(session: Session): Ask {
  const back = session.goodbye(reasons.packetTooLarge);
  return { kind: 'close', why: `more than ${MAX_MQTT_FILTERS} filters`, ...(back === undefined ? {} : { back }) };
}

function wantedOf(subscription: Subscription, session: Session): Wanted {
  const filter = parseTopicFilter(subscription.filter) ?? { filter: subscription.filter };
  const { ports } = session;
  const parts = partsOf({ ...filter, qos: subscription.qos }, ports.entry(), ports.connection().subject.id);
  return {
    subscription,
    parts: parts.map((part) => ({ part, operation: subscribeOperation(session, part, part.qos) })),
  };
}

/** A verdict counts for the operation that it was given on, and for none that a newer policy put in its place. */
function planOf(wanted: readonly Wanted[], judged: readonly JudgedOperation[], session: Session): Plan {
  const subscriptions: Subscription[] = [];
  const layout: Layout[number][] = [];
  const told: JudgedOperation[] = [];
  const made: [string, readonly string[]][] = [];
  let at = 0;
  let characters = 0;
  for (const { subscription, parts } of wanted) {
    const verdicts = parts.map((entry, index) => ({ ...entry, verdict: judged[at + index] }));
    at += parts.length;
    const allowed = verdicts.filter(
      ({ verdict, operation }) => verdict?.decision.allow === true && verdict.operation === operation,
    );
    const whole = allowed.find(({ part }) => part === parts[0]?.part);
    const kept = whole === undefined ? largestParts(allowed.map(({ part }) => part)) : [whole.part];
    const own = kept.map((part) => asSubscription(subscription, part));
    const names = own.map(({ filter }) => filter);
    const more = names.reduce((sum, name) => sum + name.length, subscription.filter.length);
    const hasRoom = session.subscriptions.hasRoomFor(characters + more);
    const first = verdicts[0]?.verdict;
    if (own.length === 0 || !hasRoom) {
      const refusal = hasRoom ? reasons.notAuthorized : reasons.quotaExceeded;
      layout.push({ code: session.version === 5 ? refusal : reasons.failure });
      if (first !== undefined && own.length === 0) told.push(first);
      continue;
    }
    told.push(
      ...allowed.flatMap(({ part, verdict }) => (kept.includes(part) && verdict !== undefined ? [verdict] : [])),
    );
    layout.push({ at: own.map((_, index) => subscriptions.length + index) });
    made.push([subscription.filter, names]);
    characters += more;
    subscriptions.push(...own);
  }
  return { subscriptions, layout, told, made };
}

function isUnchanged(before: readonly Subscription[], after: readonly Subscription[]): boolean {
  return (
    before.length === after.length &&
    before.every(({ filter, qos }, index) => filter === after[index]?.filter && qos === after[index].qos)
  );
}

function nothingGranted(packetId: number, { layout, told }: Plan, session: Session): Outcome {
  if (session.ports.onDeny() === 'close') {
    const back = session.goodbye(reasons.notAuthorized);
    return outcome({ back, close: back === undefined ? 'reset' : 'after', told });
  }
  const refusal = session.version === 5 ? reasons.notAuthorized : reasons.failure;
  const codes = layout.map((entry) => ('code' in entry ? entry.code : refusal));
  return { back: encode({ type: 'suback', packetId, properties: [], reasons: codes }, session.version), told };
}

/** Takes nothing, so it needs no decision. */
export function unsubscribing(packet: Unsubscribe, bytes: Buffer, session: Session): Message {
  const { packetId, filters, properties } = packet;
  return {
    ask: () => requestFault(packetId, filters.length, session) ?? { kind: 'pass' },
    settle() {
      const { sent, layout } = takenBack(filters, session);
      const done = (): void => {
        for (const filter of filters) session.subscriptions.removed(filter);
        if (sent.length > 0) session.subscriptions.await(packetId, { type: 'unsubscribe', sent: sent.length, layout });
      };
      if (sent.length === 0) {
        const codes = session.version === 5 ? filters.map(() => reasons.success) : [];
        return { back: encode({ type: 'unsuback', packetId, properties: [], reasons: codes }, session.version), done };
      }
      const same = sent.length === filters.length && sent.every((filter, index) => filter === filters[index]);
      const onward = same
        ? bytes
        : encode({ type: 'unsubscribe', packetId, properties, filters: sent }, session.version);
      return { onward, done };
    },
  };
}

/**
 * What the filters became, where that is known; of an earlier connection of the session, what they would become now. A
 * part that another filter of the client needs stays.
 */
function takenBack(
  filters: readonly string[],
  session: Session,
): { readonly sent: readonly string[]; readonly layout: Layout } {
  const { subscriptions, ports } = session;
  const isUsed = subscriptions.usedByOthers(new Set(filters));
  const sent: string[] = [];
  const layout = filters.map((filter): Layout[number] => {
    const names = subscriptions.partsOf(filter) ?? namesOf(filter, ports.entry(), ports.connection().subject.id);
    const room = Math.max(1, MAX_MQTT_FILTERS - sent.length);
    const own = names.filter((name) => !isUsed(name)).slice(0, room);
    if (own.length === 0) return { code: reasons.success };
    sent.push(...own);
    return { at: own.map((_, index) => sent.length - own.length + index) };
  });
  return { sent, layout };
}

export function subscribed(packet: Suback | Unsuback, bytes: Buffer, session: Session): Message {
  const { packetId, type, reasons: codes } = packet;
  const pending = session.subscriptions.pending(packetId);
  // Nobody waits for it.
  if (pending === undefined) return passing(() => ({}));
  if (pending.type !== (type === 'suback' ? 'subscribe' : 'unsubscribe'))
    return closing(`${type} to a ${pending.type}`);
  const hasCodes = type === 'suback' || session.version === 5;
  const answered = hasCodes ? answerCodes(pending, codes) : [];
  if (answered === undefined) return closing(`${type} with ${codes.length} codes for ${pending.sent} filters`);
  const same = answered.length === codes.length && answered.every((code, index) => code === codes[index]);
  return passing(() => ({
    onward: same ? bytes : encode({ ...packet, reasons: answered }, session.version),
    done: () => session.subscriptions.answered(packetId),
  }));
}
