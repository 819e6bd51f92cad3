// What an enforcement point asks about a request, and what it hears; the same for every proxy.
import type {
  AccessRequest,
  Asked,
  AttributeValue,
  Decision,
  Fulfilment,
  Operation,
} from '../../policy/engine/index.ts';
import { obligationsOfProxy } from './obligations.ts';

/** What a proxy can say of its peer. Only fields that the proxy itself owns, or a credential that is verified here. */
export interface PeerEvidence {
  /** PEM of the client's leaf certificate, verified again here. */
  readonly certificatePem?: string;
  /** SPIFFE ID that the proxy names its peer by; whether a name alone counts is for `identify` to say. */
  readonly principal?: string;
  /** Token of the one `Authorization: Bearer` that the client sent (RFC 6750 section 2.1), verified here. */
  readonly bearer?: string;
  /** Device id that an enforcement point of somebody else's asserts (AuthZEN); only that point's own `identify` takes it. */
  readonly asserted?: string;
}

/** Attributes that such a point may assert by this edge's configuration, by name; they count as known now. */
export interface Assertions {
  readonly subject: Readonly<Record<string, AttributeValue>>;
  readonly resource: Readonly<Record<string, AttributeValue>>;
  readonly context: Readonly<Record<string, AttributeValue>>;
}

/** Who the evidence proves, as the engine asks. */
export type Identified = AccessRequest['subject'] & {
  /** Level of step-up that a verified bearer token proves (`provenLevel`). */
  readonly provenLevel?: string | undefined;
};

/** A request as an enforcement point saw it. */
export interface Question {
  /** Interface name from the proxy's own configuration. */
  readonly interface: string;
  /** Of http, method and raw target exactly as the client sent them, query included. */
  readonly operation: Extract<Operation, { protocol: 'http' | 'port' | 'named' }>;
  readonly peer: PeerEvidence;
  /** `address:port` of the client; empty when unknown. */
  readonly connection: string;
  readonly source: 'ext-authz' | 'forward-auth' | 'authzen';
  /** Context attributes from the proxy's own configuration, by name. */
  readonly attributes?: Readonly<Record<string, string>>;
  readonly assertions?: Assertions;
  /** Why the request has more than one reading, beside its path: denied, whatever the policy says. */
  readonly ambiguous?: string;
  /** Obligations that the proxy's own configuration says it carries out, beside those the point fulfils itself. */
  readonly fulfils?: Fulfilment;
  /** When whoever asks gives up, on the clock of `performance.now()`; absent where it did not say (overload.ts). */
  readonly deadlineMs?: number;
}

export interface Answer {
  readonly decision: Decision;
  /** Device id of the established subject; empty when nobody could be established. */
  readonly subject: string;
}

/** An answer with what only the record of it says. */
export interface Judged extends Answer {
  /** Why the evidence did not verify; empty when it did. */
  readonly message: string;
  /** What the engine was asked; absent when it was not. */
  readonly asked?: Asked | undefined;
  /** The counts of a limited grant had a say. */
  readonly limited?: boolean;
  /** What could be carried out of an obligation; absent for `log` and `notification` alone. */
  readonly fulfilment?: Fulfilment;
}

/** Identity headers, always all of them, so that a client's own copy never survives. */
export function identityHeaders({ subject, decision }: Answer): Readonly<Record<string, string>> {
  return {
    'x-edgeward-subject': subject,
    'x-edgeward-decision': decision.allow ? 'allow' : 'deny',
    'x-edgeward-rule': decision.rule,
    'x-edgeward-obligations': obligationsOfProxy(decision),
  };
}
