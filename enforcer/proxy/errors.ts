// The closed table of what keeps a proxy from running. What a peer does wrong is an event, not an error.
import { errorTable } from '../../runtime/errors.ts';

export const proxyErrors = errorTable({
  PROXY_LISTEN_FAILED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Choose a free port for the proxy, or stop the program that holds it',
  },
  PROXY_UPSTREAM_UNREACHABLE: {
    status: 'UNAVAILABLE',
    remedy: 'Check that the protected server runs and listens on the address named',
  },
} as const);

export type ProxyErrorCode = keyof typeof proxyErrors.codes;
