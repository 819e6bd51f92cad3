// Obligations as the AuthZEN Obligations Profile 1.0 (draft 1) carries them. `log` and `notification` of a policy are
// carried out here and not handed on. A caller that does not say what it can do is taken to do nothing: the profile lets a
// decision point deny outright, with the obligations (Non-Compliance and Partial Compliance).
import type { Decision, Fulfilment, Obligation } from '../../../policy/engine/index.ts';

export interface ObligationBody {
  /** Unique within its context. */
  readonly id: string;
  readonly type: 'step-up' | 'session_termination' | 'custom';
  readonly properties: Readonly<Record<string, string>>;
}

/** What this decision point may issue: member `supported_obligations` of the metadata. */
export function issuedTypes(custom: readonly string[]): readonly ObligationBody['type'][] {
  return ['step-up', 'session_termination', ...(custom.length > 0 ? (['custom'] as const) : [])];
}

/** What a caller that declares these types carries out; a type that is not issued here says nothing. */
export function fulfilmentOf(supported: readonly string[] | undefined, custom: readonly string[]): Fulfilment {
  return {
    ids: [],
    custom: supported?.includes('custom') === true ? custom : [],
    anyLevel: supported?.includes('step-up') === true,
  };
}

/**
 * Of a decision, for a caller that declares `supported`; all of them when it declared nothing. A denied subject that an order
 * contains has its sessions ended, as the firewall and the proxies end what is open.
 */
export function obligationBodies(
  { allow, obligations, unfulfilled }: Pick<Decision, 'allow' | 'obligations' | 'unfulfilled'>,
  contained: string | undefined,
  supported: readonly string[] | undefined,
): readonly ObligationBody[] {
  const due = (obligations ?? unfulfilled ?? []).flatMap((obligation) => bodyOf(obligation) ?? []);
  if (!allow && contained !== undefined) due.push({ type: 'session_termination', properties: { subject: contained } });
  return due
    .filter(({ type }) => supported === undefined || supported.includes(type))
    .map((body, index) => ({ id: `obl-${index + 1}`, ...body }));
}

function bodyOf(obligation: Obligation): Omit<ObligationBody, 'id'> | undefined {
  switch (obligation.id) {
    case 'log':
    case 'notification':
      return undefined;
    case 'step-up':
      return { type: 'step-up', properties: { acr_value: obligation.level } };
    case 'custom':
      return { type: 'custom', properties: { name: obligation.name } };
  }
}
