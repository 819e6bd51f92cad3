// A decision as an event of the audit log: the answer, and what the engine was asked, so that it can be asked again.
// Fields in the order of their names, which is the order in which the spool writes them.
import type { EventField, NewEvent } from '../../../audit/spool/index.ts';
import {
  type Decision,
  type Fulfilment,
  joinConnection,
  type Operation,
  obligationName,
  recordAsked,
} from '../../../policy/engine/index.ts';
import { maxRecordedHeaders, maxRecordedMethod, maxRecordedPath, maxRecordedText } from '../limits.ts';
import { asksFor, obligationsOf } from '../obligations.ts';
import type { Judged, Question } from '../question.ts';
import { splitConnection } from './connection.ts';

type HttpOperation = Extract<Operation, { protocol: 'http' }>;
type Data = { -readonly [Field in EventField]?: NewEvent['data'][Field] };

export function decisionEvent(question: Question, { subject, decision, message, asked, fulfilment }: Judged): NewEvent {
  const { operation, ambiguous, connection } = question;
  const heard = asked === undefined ? undefined : recordAsked(asked);
  const { address, port } = splitConnection(connection);
  const data: Data = {};
  if (ambiguous !== undefined) data.ambiguous = ambiguous.slice(0, maxRecordedText);
  if (heard !== undefined) {
    data.asked_ms = heard.asked_ms;
    if (heard.attributes !== undefined) data.attributes = heard.attributes;
    data.binding = heard.binding;
  }
  const { host, headers, bodyBytes }: Partial<HttpOperation> = operation.protocol === 'http' ? operation : {};
  if (bodyBytes !== undefined) data.body_bytes = bodyBytes;
  if (decision.condition !== undefined) data.condition = decision.condition;
  data.decision = decision.allow ? 'allow' : 'deny';
  data.enforcement_point = question.source;
  if (heard?.floor_ms !== undefined) data.floor_ms = heard.floor_ms;
  if (heard !== undefined) data.freshness = heard.freshness;
  if (fulfilment !== undefined && isSpecial(fulfilment)) data.fulfils = fulfilsOf(fulfilment);
  if (headers !== undefined) data.headers = headerLines(headers).slice(0, maxRecordedHeaders).map(cutText);
  if (host !== undefined) data.host = cutText(host);
  data.interface = question.interface;
  if (heard?.island === true) data.island = true;
  if (message !== '') data.message = message.slice(0, maxRecordedText);
  if (operation.protocol === 'http') data.method = operation.method.slice(0, maxRecordedMethod);
  if (decision.obligations !== undefined) data.obligations = obligationsOf(decision);
  if (decision.observed !== undefined) data.observed = decision.observed;
  data.operation = operation.protocol === 'named' ? operation.name : decision.operation;
  if (operation.protocol === 'http') data.path = operation.path.slice(0, maxRecordedPath);
  if (joinConnection(address, port) !== connection) data.peer = connection.slice(0, maxRecordedText);
  data.place = decision.place;
  if (operation.protocol !== 'http') data.protocol = operation.protocol;
  data.reason = decision.reason;
  data.rule = decision.rule;
  data.source_ip = address;
  data.source_port = port;
  if (heard !== undefined) data.state = heard.state;
  data.subject = subject;
  if (heard?.truncated === true || isCut(question)) data.truncated = true;
  return {
    kind: 'authz',
    activity: decision.allow ? 'allow' : 'deny',
    severity: severityOf(decision),
    bundle: decision.bundle,
    data,
  };
}

function isCut({ operation, connection }: Question): boolean {
  if (connection.length > maxRecordedText) return true;
  if (operation.protocol !== 'http') return false;
  const { method, path, host = '', headers = {} } = operation;
  const lines = headerLines(headers);
  return (
    method.length > maxRecordedMethod ||
    path.length > maxRecordedPath ||
    lines.length > maxRecordedHeaders ||
    [host, ...lines].some((text) => text.length > maxRecordedText)
  );
}

/** `x-line: press-3`, one a line. */
const headerLines = (headers: NonNullable<HttpOperation['headers']>): string[] =>
  Object.entries(headers).flatMap(([name, values]) => values.map((value) => `${name}: ${value}`));

const cutText = (text: string): string => text.slice(0, maxRecordedText);

/** What every point fulfils goes without saying. */
const isSpecial = ({ custom, levels = [], anyLevel = false }: Fulfilment): boolean =>
  custom.length > 0 || levels.length > 0 || anyLevel;

const fulfilsOf = ({ ids, custom, levels = [], anyLevel = false }: Fulfilment): string[] => [
  ...ids,
  ...custom.map((name) => obligationName({ id: 'custom', name })),
  ...levels.map((level) => `step-up:${level}`),
  ...(anyLevel ? ['step-up'] : []),
];

function severityOf(decision: Decision): 'info' | 'medium' | 'high' {
  if (!decision.allow) return 'medium';
  return asksFor(decision, 'notification') ? 'high' : 'info';
}
