// Subject, Resource and Action Search (Authorization API 1.0, Search APIs). A result is what an evaluation of the same
// question would allow now; searching takes no use of a limited grant and is one event, whatever it finds.
import { createHash } from 'node:crypto';
import type { EmitEvent } from '../../../audit/spool/index.ts';
import { attributeNames } from '../../../policy/engine/index.ts';
import { canonicalJson } from '../../../runtime/canonical-json.ts';
import { consider, type Consideration } from '../authorize.ts';
import type { Question } from '../question.ts';
import { candidatesOf } from './candidates.ts';
import type { EvaluationPorts, InForce, Outcome } from './evaluate.ts';
import { defaultPageResults, maxPageDecisions, maxPageResults } from './limits.ts';
import { type MappingOptions, peerOf, questionOf, resourceType, subjectType } from './mapping.ts';
import { type Entities, type PageRequest, parse, type SearchKind, searchSchemas } from './messages.ts';
import { type ObligationBody, obligationBodies } from './obligations.ts';
import type { PagePosition, PageTokens } from './page-token.ts';
import { createTurns } from './turns.ts';

export interface SearchPorts extends EvaluationPorts {
  /** Where the event of a search goes. */
  readonly emit: EmitEvent;
  readonly tokens: PageTokens;
}

export type ResultBody = (
  | { readonly type: string; readonly id: string; readonly properties?: Readonly<Record<string, string>> }
  | { readonly name: string }
) & { readonly obligations?: readonly ObligationBody[] };

export interface SearchBody {
  readonly page: { readonly next_token: string; readonly count: number };
  readonly results: readonly ResultBody[];
}

/** One that might be a result, and the evaluation that says whether it is. */
interface Candidate {
  readonly result: ResultBody;
  readonly entities: Entities;
}

/** POST /access/v1/search/{subject,resource,action}. */
export async function search(
  ports: SearchPorts,
  options: MappingOptions,
  kind: SearchKind,
  message: unknown,
): Promise<Outcome<SearchBody>> {
  const parsed = parse(searchSchemas[kind], message);
  if (!parsed.ok) return { ok: false, status: 400, fault: parsed.fault };
  const { page } = parsed.value;
  const inForce = ports.inForce();
  const bound = boundTo(kind, message, inForce);
  const position = positionOf(ports.tokens, bound, page);
  if (position === undefined) {
    const fault = 'page: not of this policy and this search; start again without a token';
    return { ok: false, status: 400, fault };
  }
  const candidates = inForce === undefined ? [] : candidatesFor(kind, parsed.value, inForce);
  const found = await pageFrom(ports, options, candidates, position, inForce);
  if (found === undefined)
    return { ok: false, status: 400, fault: 'page: the policy changed; start again without a token' };
  await record(ports, kind, parsed.value, found.results.length, inForce);
  const { next, results } = found;
  const token = next < candidates.length ? ports.tokens.write(bound, { ...position, next }) : '';
  return { ok: true, body: { page: { next_token: token, count: results.length }, results } };
}

/** Everything that has to stay the same from page to page; the limit is in the token. */
function boundTo(kind: SearchKind, message: unknown, inForce: InForce | undefined): string {
  const { subject, action, resource, context, page } = message as Record<string, unknown>;
  const properties = (page as PageRequest | undefined)?.properties;
  const text = canonicalJson([kind, subject, action, resource, context, properties].map((entity) => entity ?? null));
  return `${inForce?.engine.digest ?? ''} ${createHash('sha256').update(text).digest('hex')}`;
}

function positionOf(tokens: PageTokens, bound: string, { token, limit }: PageRequest): PagePosition | undefined {
  const wanted = limit === undefined ? undefined : Math.min(limit, maxPageResults);
  if (token === undefined || token === '') return { next: 0, limit: wanted ?? defaultPageResults };
  const position = tokens.read(bound, token);
  return wanted === undefined || wanted === position?.limit ? position : undefined;
}

type Wanted = Pick<Entities, 'context'> & {
  readonly subject: Omit<Entities['subject'], 'id'> & { readonly id?: string };
  readonly resource: Omit<Entities['resource'], 'id'> & { readonly id?: string };
  readonly action?: Entities['action'];
};

function candidatesFor(kind: SearchKind, wanted: Wanted, { slice }: InForce): readonly Candidate[] {
  const { subject, resource, action = { name: '', properties: {} }, context } = wanted;
  if (subject.type !== subjectType || resource.type !== resourceType) return [];
  const { id: subjectId = '' } = subject;
  const { id: resourceId = '' } = resource;
  const known = candidatesOf(slice);
  const rest = { action, context, subject: { ...subject, id: subjectId }, resource: { ...resource, id: resourceId } };
  switch (kind) {
    case 'subject':
      return known.subjects(resourceId).map((id) => ({
        result: { type: subjectType, id },
        entities: { ...rest, subject: { ...subject, id } },
      }));
    case 'resource':
      return known
        .interfaces(subjectId)
        .filter(({ device }) => (resource.properties[attributeNames.device] ?? device) === device)
        .map(({ name: id, device }) => {
          const properties = { [attributeNames.device]: device };
          return {
            result: { type: resourceType, id, properties },
            entities: {
              ...rest,
              resource: { type: resource.type, id, properties: { ...resource.properties, ...properties } },
            },
          };
        });
    case 'action':
      return known.operations(resourceId).map((name) => ({
        result: { name },
        entities: { ...rest, action: { name, properties: {} } },
      }));
  }
}

/** Undefined when another bundle answered than the one searched. */
async function pageFrom(
  ports: SearchPorts,
  options: MappingOptions,
  candidates: readonly Candidate[],
  { next: from, limit }: PagePosition,
  inForce: InForce | undefined,
): Promise<{ next: number; results: readonly ResultBody[] } | undefined> {
  const results: ResultBody[] = [];
  const othersTurn = createTurns();
  let caller = callers(ports);
  let next = from;
  while (next < candidates.length && results.length < limit && next - from < maxPageDecisions) {
    const candidate = candidates[next++];
    if (candidate === undefined) break;
    // Meanwhile an order may have come.
    if (await othersTurn()) caller = callers(ports);
    const { entities, result } = candidate;
    const question = questionOf(entities, options, inForce?.engine);
    const { decision } = (await caller(entities.subject.id, question)).judge(question);
    if (decision.bundle !== inForce?.engine.digest) {
      // A fault names no bundle, and is no result.
      if (decision.bundle !== '' || decision.allow) return undefined;
      continue;
    }
    if (!decision.allow) continue;
    const obligations = obligationBodies(decision, undefined, entities.context.supported_obligations);
    results.push(obligations.length === 0 ? result : { ...result, obligations });
  }
  return { next, results };
}

/** Who is asked about many times is established once. */
function callers(ports: SearchPorts): (id: string, question: Question) => Promise<Consideration> {
  let last: { readonly id: string; readonly caller: Consideration } | undefined;
  return async (id, { peer }) => {
    if (last?.id !== id) last = { id, caller: await consider(ports, peer) };
    return last.caller;
  };
}

async function record(
  ports: SearchPorts,
  kind: SearchKind,
  { subject, resource, action }: Wanted,
  found: number,
  inForce: InForce | undefined,
): Promise<void> {
  const name = (id: string | undefined): string => peerOf(subjectType, id ?? '').asserted ?? '';
  await ports
    .emit({
      kind: 'authz',
      activity: 'search',
      severity: 'info',
      ...(inForce === undefined ? {} : { bundle: inForce.engine.digest }),
      data: {
        enforcement_point: 'authzen',
        protocol: kind,
        ...(kind === 'subject' ? {} : { subject: name(subject.id) }),
        ...(kind === 'resource' ? {} : { interface: name(resource.id) }),
        ...(action === undefined ? {} : { operation: action.name.slice(0, 64) }),
        count: found,
      },
    })
    .catch(() => undefined);
}
