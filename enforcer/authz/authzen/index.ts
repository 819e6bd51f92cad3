// OpenID AuthZEN Authorization API 1.0, the decision point's side.
export { isDecisionPointUrl } from './metadata.ts';
export { createPageTokens } from './page-token.ts';
export type { InForce } from './evaluate.ts';
export type { SearchPorts } from './search.ts';
export { type AuthzenServer, serveAuthzen } from './serve.ts';
