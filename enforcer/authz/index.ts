// Request enforcement points: ext_authz (Envoy), forward-auth (nginx), AuthZEN (whoever speaks it).
export type { AuthzPorts } from './authorize.ts';
export { type CountingLog, createDecisionLog, type DecisionLog } from './decision-log.ts';
export type { Answer, Identified, PeerEvidence, Question } from './question.ts';
export { type AuthzenServer, createPageTokens, isDecisionPointUrl, serveAuthzen } from './authzen/index.ts';
export { authzErrors } from './errors.ts';
export { listenUnix } from './listen.ts';
export type { RemoteProxies } from './remote.ts';
export { type AuthzEndpoints, type AuthzServer, serveAuthz } from './serve.ts';
export { type CheckTransport, checkTransports } from './envoy/check-server.ts';
export { provenLevel } from './step-up.ts';
export { type Admission, createAdmission } from './overload.ts';
export { type Ailment, createWatchdog, watchEventLoop } from './watchdog.ts';
