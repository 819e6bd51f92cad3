// Closed table of what the request enforcement points refuse to start with. Denials are not errors.
import { errorTable } from '../../runtime/errors.ts';

export const authzErrors = errorTable({
  AUTHZ_UNKNOWN_SERVICE: { status: 'NOT_FOUND', remedy: 'Ask for "" or envoy.service.auth.v3.Authorization.' },
  AUTHZ_ADDRESS_REMOTE: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Listen on unix:/path or 127.0.0.1:port; for proxies on other hosts there is authz.tls.',
  },
  AUTHZ_PROXY_NOT_LISTED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Name its SPIFFE ID in authz.tls.proxies, if this proxy is to ask here.',
  },
  AUTHZ_PROXY_HELD_BACK: {
    status: 'PERMISSION_DENIED',
    remedy:
      'Look at the state of its device (edgeward device list); who is contained or unknown does not ask for others.',
  },
  AUTHZ_LISTEN_FAILED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Choose a path in a directory that this process may write, below 104 characters, or a port that is free.',
  },
});
