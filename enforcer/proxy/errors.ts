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
  PROXY_TLS_HANDSHAKE: {
    status: 'UNAUTHENTICATED',
    remedy: 'Dial with TLS 1.3, and with a protocol that this interface speaks (ALPN)',
  },
  PROXY_TLS_PEER: {
    status: 'UNAUTHENTICATED',
    remedy: 'Present the SVID of a device of this trust domain, and do not resume sessions',
  },
  PROXY_TLS_BUSY: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Dial again later; look for who opens so many connections',
  },
  PROXY_EGRESS_UNKNOWN: {
    status: 'NOT_FOUND',
    remedy:
      'Name an interface of protocol modbus, mqtt or http and the device that serves it; this device needs a grant of it',
  },
  PROXY_EGRESS_PEER: {
    status: 'UNAUTHENTICATED',
    remedy: 'Look who answers at the address of that device, and whether the inventory has the right one',
  },
  PROXY_TLS_OWN_IDENTITY: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Look at the identity of this device (edgeward edge status); enrol it again where it is lost',
  },
} as const);

export type ProxyErrorCode = keyof typeof proxyErrors.codes;
