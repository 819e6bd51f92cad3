// Protocol proxies of the edge.
export { createProxy } from './proxy.ts';
export type { ProtocolProxy, ProxyOptions } from './proxy.ts';
export type { ConnectionInfo, Protocol, ProxyOperation, ProxySubject } from './protocol.ts';
export { httpProtocol } from './http/protocol.ts';
export { modbusProtocol } from './modbus/exchange.ts';
export { mqttProtocol } from './mqtt/exchange.ts';
export type { Endpoint } from './endpoint.ts';
export { connectDirectly } from './upstream.ts';
export { defaultLimits } from './limits.ts';
export type { ProxyLimits } from './limits.ts';
export { proxyErrors } from './errors.ts';
export type { ProxyErrorCode } from './errors.ts';
export { createEgress, type Egress } from './tls/egress.ts';
export { tlsProtocol } from './tls/passthrough.ts';
export { createTermination } from './tls/termination.ts';
export type { ProvenPeer, Termination, TerminationParts } from './tls/termination.ts';
