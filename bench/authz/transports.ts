// The transports that are compared; the product's own comes last.
import { checkTransports, type CheckTransport } from '../../enforcer/authz/index.ts';

export type Transport = CheckTransport;
export const transports: readonly Transport[] = checkTransports.toSorted();
