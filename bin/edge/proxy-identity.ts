// What the proxies need of identities: our own SVID to end and to dial TLS with, and who a peer is by the orders of now.
import type { ProvenPeer, TerminationParts } from '../../enforcer/proxy/index.ts';
import { exportPkcs8Pem } from '../../identity/index.ts';
import type { OwnIdentity } from './identity.ts';
import type { Subjects } from './subjects.ts';

/** `subjects` may come later than the first call, and not later than the first handshake. */
export function proxyIdentity(
  own: Pick<OwnIdentity, 'current' | 'follow'>,
  subjects: () => Pick<Subjects, 'fromChain'>,
): TerminationParts {
  return {
    tls: () => {
      const { keys, chain, anchors } = own.current();
      return { key: exportPkcs8Pem(keys.privateKey), chain, roots: anchors.roots };
    },
    follow: (changed) => own.follow(changed),
    verify: (chain): ProvenPeer => {
      const { subject, serialHex } = subjects().fromChain(chain);
      return { device: subject.id, serial: serialHex, chain, mustHold: () => void subjects().fromChain(chain) };
    },
  };
}
