// Protocol proxies of the edge.
export { createModbusProxy } from './modbus-proxy.ts';
export type { ModbusProxy, ModbusProxyOptions } from './modbus-proxy.ts';
export type { ConnectionInfo, ProxySubject } from './modbus-connection.ts';
export type { Endpoint } from './endpoint.ts';
export type { ModbusOperation } from './modbus-request.ts';
export { connectDirectly } from './upstream.ts';
export { defaultModbusLimits } from './limits.ts';
export type { ModbusLimits } from './limits.ts';
export { proxyErrors } from './errors.ts';
export type { ProxyErrorCode } from './errors.ts';
