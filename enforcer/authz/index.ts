// Request enforcement points: ext_authz (Envoy), forward-auth (nginx).
export type { Answer, AuthzPorts, HttpQuestion, PeerEvidence } from './authorize.ts';
export { boundDenials, type Denials } from './denials.ts';
export { authzErrors } from './errors.ts';
export { type AuthzEndpoints, type AuthzServer, serveAuthz } from './serve.ts';
