// Verification without trust in the server.
export type { Fault, Finding } from './findings.ts';
export { verifyExport, verifyLog, type ServedLog, type Trust, type Verification } from './verify.ts';
