// Who a peer is: a verified SVID, or an address that the firewall has checked against the inventory; joined with what the
// orders and signed states say of the device.
import { type Identified, type PeerEvidence, provenLevel } from '../../enforcer/authz/index.ts';
import type { OrdersStore } from '../../enforcer/activation/index.ts';
import type { SpiffeId, VerifiedJwtSvid } from '../../identity/index.ts';
import { errorTable } from '../../runtime/errors.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import type { AccessRequest } from '../../policy/engine/index.ts';
import type { BearerTokens } from './bearer-tokens.ts';
import { createVerifiedChains, createVerifiedPeers, type PeerIdentity } from './verified-peers.ts';

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
  SUBJECT_EVIDENCE_DISAGREES: {
    status: 'UNAUTHENTICATED',
    remedy: 'Present the certificate and the JWT-SVID of one device, or one of the two.',
  },
});

export interface Subjects {
  /**
   * Throws or rejects when the evidence does not verify, or speaks of two devices. Evidence is a certificate, and a bearer token
   * where they are accepted; a token that none of our authorities is said to have signed counts as absent beside a certificate.
   */
  fromEvidence(peer: PeerEvidence): Identified | Promise<Identified>;
  /**
   * The device that an enforcement point of somebody else's authenticated, with the binding that the configuration says it
   * authenticates by. Throws without one, and without an id. Whether a single certificate is revoked is for that point to
   * look at: it alone has seen it.
   */
  fromAssertion(peer: PeerEvidence, binding: Subject['binding'] | undefined): Subject;
  /** The device that the client of a TLS connection of ours proved to be by its SVID. Throws as `fromEvidence` does. */
  fromChain(chainDer: readonly Buffer[]): { readonly subject: Subject; readonly serialHex: string };
  /** Nobody (`id` empty, state unknown) when no device of the slice has the address. */
  fromAddress(address: string, slice: Slice | undefined): Subject;
}

export function createSubjects(
  own: PeerIdentity,
  orders: Pick<OrdersStore, 'subjectState' | 'view'>,
  now: () => number,
  /** The firewall drops what comes from another port or MAC than the inventory says; without it nobody looks. */
  addressesChecked = true,
  /** Absent: bearer tokens are nobody. */
  tokens?: Pick<BearerTokens, 'isOurs' | 'verify'>,
): Subjects {
  const withState = (id: string, binding: Subject['binding']): Subject => ({ id, binding, ...orders.subjectState(id) });

  const verifyPeer = createVerifiedPeers(own, () => orders.view().revoked);
  const verifyChain = createVerifiedChains(own, verifyPeer);

  function deviceOf(id: SpiffeId): string {
    if (id.trustDomain !== own.anchors().trustDomain) {
      throw subjectErrors.error('SUBJECT_OTHER_TRUST_DOMAIN', `${id.uri} is of another trust domain`);
    }
    if (id.kind !== 'device' || id.device === undefined) {
      throw subjectErrors.error('SUBJECT_NOT_A_DEVICE', `${id.uri} is not a device`);
    }
    return id.device;
  }

  function certified(certificatePem: string): string {
    const svid = verifyPeer(certificatePem, now());
    if (svid === undefined) throw subjectErrors.error('SUBJECT_NOT_IDENTIFIED', 'the proxy sent no certificate');
    return deviceOf(svid.id);
  }

  /** `device` as the certificate says; undefined without one. */
  function borne({ id, claims }: VerifiedJwtSvid, device: string | undefined): Identified {
    const named = deviceOf(id);
    if (device !== undefined && device !== named) {
      throw subjectErrors.error('SUBJECT_EVIDENCE_DISAGREES', `certificate of ${device}, bearer token of ${named}`);
    }
    return { ...withState(named, 'svid'), provenLevel: provenLevel(claims, now()) };
  }

  return {
    fromEvidence: ({ certificatePem = '', bearer = '' }) => {
      // A name alone is no proof: Envoy fills in the principal from certificates that it did not verify too (a TLS context
      // without trusted_ca), and a name does not tell a revoked certificate from the one that replaced it.
      const device = certificatePem === '' ? undefined : certified(certificatePem);
      if (device !== undefined && (bearer === '' || tokens?.isOurs(bearer) !== true)) return withState(device, 'svid');
      if (bearer === '') {
        throw subjectErrors.error('SUBJECT_NOT_IDENTIFIED', 'the proxy passed on no certificate of its client');
      }
      if (tokens === undefined) {
        throw subjectErrors.error('SUBJECT_NOT_IDENTIFIED', 'bearer tokens are not accepted here (authz.jwtSvid)');
      }
      const svid = tokens.verify(bearer);
      return svid instanceof Promise ? svid.then((verified) => borne(verified, device)) : borne(svid, device);
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
    fromChain: (chainDer) => {
      const svid = verifyChain(chainDer, now());
      if (svid === undefined) throw subjectErrors.error('SUBJECT_NOT_IDENTIFIED', 'the client sent no certificate');
      return { subject: withState(deviceOf(svid.id), 'svid'), serialHex: svid.serialHex };
    },
    fromAddress: (address, slice) => {
      const found = slice === undefined ? undefined : ownersOf(slice).get(plainAddress(address));
      if (found === undefined) return { id: '', binding: 'ip', state: 'unknown', attributes: {} };
      return withState(found.id, found.hasMac && addressesChecked ? 'port+mac+ip' : 'ip');
    },
  };
}

/** IPv4 as such, where a socket of both families says it as IPv6. */
const plainAddress = (address: string): string =>
  address.startsWith('::') ? address.replace(/^::ffff:(?=\d+\.)/i, '') : address;

interface Owner {
  readonly id: string;
  readonly hasMac: boolean;
}

/** Made once for a slice: every message of a proxied connection asks. */
const owners = new WeakMap<Slice, ReadonlyMap<string, Owner>>();

function ownersOf(slice: Slice): ReadonlyMap<string, Owner> {
  const known = owners.get(slice);
  if (known !== undefined) return known;
  const made = new Map<string, Owner>();
  for (const { id, interfaces } of slice.devices) {
    for (const { address, mac } of interfaces) {
      // The first device that has it, as the firewall's compiler sees it.
      if (!made.has(address)) made.set(address, { id, hasMac: mac !== undefined });
    }
  }
  owners.set(slice, made);
  return made;
}
