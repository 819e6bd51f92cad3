// Who a peer is: a verified SVID, or an address that the firewall has checked against the inventory; joined with what the
// orders and signed states say of the device.
import type { PeerEvidence } from '../../enforcer/authz/index.ts';
import type { OrdersStore } from '../../enforcer/activation/index.ts';
import { errorTable } from '../../runtime/errors.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import type { AccessRequest } from '../../policy/engine/index.ts';
import type { OwnIdentity } from './identity.ts';
import { createVerifiedPeers } from './verified-peers.ts';

type Subject = AccessRequest['subject'];

export const subjectErrors = errorTable({
  SUBJECT_NOT_A_DEVICE: {
    status: 'PERMISSION_DENIED',
    remedy: 'Use the SVID of a device.',
  },
  SUBJECT_OTHER_TRUST_DOMAIN: { status: 'PERMISSION_DENIED', remedy: 'Use an SVID of this trust domain.' },
  SUBJECT_NOT_IDENTIFIED: {
    status: 'UNAUTHENTICATED',
    remedy: 'Present a client certificate to the proxy; Envoy has to pass it on (include_peer_certificate: true).',
  },
});

export interface Subjects {
  /** Throws when the evidence does not verify; only a certificate is evidence. */
  fromEvidence(peer: PeerEvidence): Subject;
  /**
   * The device that an enforcement point of somebody else's authenticated, with the binding that the configuration says it
   * authenticates by. Throws without one, and without an id. Whether a single certificate is revoked is for that point to
   * look at: it alone has seen it.
   */
  fromAssertion(peer: PeerEvidence, binding: Subject['binding'] | undefined): Subject;
  /** Nobody (`id` empty, state unknown) when no device of the slice has the address. */
  fromAddress(address: string, slice: Slice | undefined): Subject;
}

export function createSubjects(
  own: OwnIdentity,
  orders: Pick<OrdersStore, 'subjectState' | 'view'>,
  now: () => number,
  /** The firewall drops what comes from another port or MAC than the inventory says; without it nobody looks. */
  addressesChecked = true,
): Subjects {
  const withState = (id: string, binding: Subject['binding']): Subject => ({ id, binding, ...orders.subjectState(id) });

  const verifyPeer = createVerifiedPeers(own, () => orders.view().revoked);

  return {
    fromEvidence: ({ certificatePem = '' }) => {
      // A name alone is no proof: Envoy fills in the principal from certificates that it did not verify too (a TLS context
      // without trusted_ca), and a name does not tell a revoked certificate from the one that replaced it.
      if (certificatePem === '') {
        throw subjectErrors.error('SUBJECT_NOT_IDENTIFIED', 'the proxy passed on no certificate of its client');
      }
      const svid = verifyPeer(certificatePem, now());
      if (svid === undefined) throw subjectErrors.error('SUBJECT_NOT_IDENTIFIED', 'the proxy sent no certificate');
      const { id } = svid;
      if (id.trustDomain !== own.anchors().trustDomain) {
        throw subjectErrors.error('SUBJECT_OTHER_TRUST_DOMAIN', `${id.uri} is of another trust domain`);
      }
      if (id.kind !== 'device' || id.device === undefined) {
        throw subjectErrors.error('SUBJECT_NOT_A_DEVICE', `${id.uri} is not a device`);
      }
      return withState(id.device, 'svid');
    },
    fromAssertion: ({ asserted = '' }, binding) => {
      if (binding === undefined || asserted === '') {
        throw subjectErrors.error(
          'SUBJECT_NOT_IDENTIFIED',
          'an asserted device counts where authz.authzen.binding is set',
        );
      }
      return withState(asserted, binding);
    },
    fromAddress: (address, slice) => {
      const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
      const found = slice?.devices.find((device) => device.interfaces.some((entry) => entry.address === plain));
      if (found === undefined) return { id: '', binding: 'ip', state: 'unknown', attributes: {} };
      const mac = found.interfaces.find((entry) => entry.address === plain)?.mac;
      return withState(found.id, mac !== undefined && addressesChecked ? 'port+mac+ip' : 'ip');
    },
  };
}
