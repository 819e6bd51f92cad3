// Policy Decision Point Metadata (Authorization API 1.0, section of that name): endpoints that exist, at the URL that callers use.
import { type ObligationBody, issuedTypes } from './obligations.ts';
import type { SearchKind } from './messages.ts';

/** Below the path of the URL of the decision point. */
export const endpoints = {
  evaluation: '/access/v1/evaluation',
  evaluations: '/access/v1/evaluations',
  subject: '/access/v1/search/subject',
  resource: '/access/v1/search/resource',
  action: '/access/v1/search/action',
} as const satisfies Record<SearchKind | 'evaluation' | 'evaluations', string>;
export type EndpointName = keyof typeof endpoints;

const wellKnown = '/.well-known/authzen-configuration';

export interface Metadata {
  readonly policy_decision_point: string;
  readonly access_evaluation_endpoint: string;
  readonly access_evaluations_endpoint: string;
  readonly search_subject_endpoint: string;
  readonly search_resource_endpoint: string;
  readonly search_action_endpoint: string;
  /** Obligations Profile, Discovery. */
  readonly supported_obligations: readonly ObligationBody['type'][];
}

export function metadataOf(url: string, custom: readonly string[]): Metadata {
  const base = url.replace(/\/$/, '');
  return {
    policy_decision_point: url,
    access_evaluation_endpoint: base + endpoints.evaluation,
    access_evaluations_endpoint: base + endpoints.evaluations,
    search_subject_endpoint: base + endpoints.subject,
    search_resource_endpoint: base + endpoints.resource,
    search_action_endpoint: base + endpoints.action,
    supported_obligations: issuedTypes(custom),
  };
}

export interface Paths {
  readonly endpoint: (path: string) => EndpointName | undefined;
  /** The well-known string goes between host and path (RFC 8615; section Obtaining Metadata). Undefined without a URL. */
  readonly metadata: string | undefined;
}

export function pathsOf(url: string | undefined): Paths {
  const prefix = url === undefined ? '' : new URL(url).pathname.replace(/\/$/, '');
  const names = new Map(Object.entries(endpoints).map(([name, path]) => [prefix + path, name as EndpointName]));
  return {
    endpoint: (path) => names.get(path),
    metadata: url === undefined ? undefined : wellKnown + prefix,
  };
}

/**
 * Whether this may be the URL of a decision point: https, without query and fragment (section Endpoint Parameters). Plain
 * http for this host alone, where a unix socket or loopback is what keeps others out.
 */
export function isDecisionPointUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || /[?#"\\\s]/.test(text) || url.username !== '' || url.password !== '') return false;
  if (url.href !== text && url.href !== `${text}/`) return false;
  if (url.protocol === 'https:') return true;
  return url.protocol === 'http:' && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
}
