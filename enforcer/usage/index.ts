// How often limited grants were used on this device.
export { type UseLedger, type UseLedgerOptions, openUseLedger } from './use-ledger.ts';
export { type UsageErrorCode, usageErrors } from './errors.ts';
