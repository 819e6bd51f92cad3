// The second layer at a broker: accounts and access lists of mosquitto's dynamic security, made of the same grants.
export { createAccounts, openAccountKey, readAccountKey } from './accounts.ts';
export type { AccountOf, BrokerAccount } from './accounts.ts';
export { repair } from './second-layer.ts';
export type { Broker } from './second-layer.ts';
export { wantedAccounts } from './wanted.ts';
export type { WantedAccount } from './wanted.ts';
export { brokerErrors } from './errors.ts';
export type { BrokerErrorCode } from './errors.ts';
