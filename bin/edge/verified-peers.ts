// Certificates of peers, verified once and asked again at each request for what may have changed: dates and revocation. A new
// identity or new roots of ours begin anew.
import {
  certificatesFromPem,
  certificatesToPem,
  type VerifiedSvid,
  verifyAgain,
  verifyChain,
} from '../../identity/index.ts';
import type { DeviceIdentity } from '../../ca/edge/index.ts';

/** What of our own identity peers are verified with; another object when it changes. */
export interface PeerIdentity {
  current(): Pick<DeviceIdentity, 'chain'> & {
    readonly anchors: Pick<DeviceIdentity['anchors'], 'trustDomain' | 'roots'>;
  };
  anchors(): { readonly trustDomain: string };
}

/** Peers whose verification is kept, about 4 KiB each; more are verified anew. Only who was verified gets in. */
const KEPT_PEERS = 8_192;

/** `pem` holds the leaf and perhaps intermediates; `now` is in milliseconds since the epoch. Throws like `verifyChain`. */
export type VerifyPeer = (pem: string, now: number) => VerifiedSvid | undefined;

/** Undefined for text without a certificate. */
export function createVerifiedPeers(
  own: Pick<PeerIdentity, 'current'>,
  /** Serials that are revoked, lower case hex; another set when they change. */
  revocations: () => ReadonlySet<string>,
): VerifyPeer {
  let known = new Map<string, { readonly svid: VerifiedSvid; notRevokedIn: ReadonlySet<string> }>();
  let identity = own.current();

  function verify(pem: string, now: number, serials: ReadonlySet<string>): VerifiedSvid | undefined {
    const [leaf, ...sent] = certificatesFromPem(pem);
    if (leaf === undefined) return undefined;
    const { chain, anchors } = identity;
    // nginx passes the leaf alone; the intermediate that issued us issued our peers too.
    const intermediates = sent.length > 0 ? sent : chain.slice(1);
    const { trustDomain, roots } = anchors;
    return verifyChain(leaf, intermediates, roots, { now, trustDomain, revoked: (serial) => serials.has(serial) });
  }

  return (pem, now) => {
    const current = own.current();
    if (current !== identity || known.size >= KEPT_PEERS) {
      identity = current;
      known = new Map();
    }
    const serials = revocations();
    const before = known.get(pem);
    if (before !== undefined) {
      const { svid } = before;
      verifyAgain(svid, before.notRevokedIn === serials ? { now } : { now, revoked: (serial) => serials.has(serial) });
      before.notRevokedIn = serials;
      return svid;
    }
    const svid = verify(pem, now, serials);
    if (svid !== undefined) known.set(pem, { svid, notRevokedIn: serials });
    return svid;
  };
}

/** A chain as TLS hands it on, leaf first. Undefined for an empty one; throws like `verifyChain`. */
export type VerifyChain = (chainDer: readonly Buffer[], now: number) => VerifiedSvid | undefined;

export function createVerifiedChains(own: Pick<PeerIdentity, 'current'>, verifyPeer: VerifyPeer): VerifyChain {
  const texts = new WeakMap<readonly Buffer[], string>();
  const textOf = (chainDer: readonly Buffer[]): string => {
    const known = texts.get(chainDer);
    if (known !== undefined) return known;
    // What Node hands on is not always whole (identity/path.ts), and the intermediate that issued us issued our peers too.
    const rest = own.current().chain.slice(1);
    const text = certificatesToPem([...chainDer, ...rest.filter((der) => !chainDer.some((have) => have.equals(der)))]);
    texts.set(chainDer, text);
    return text;
  };
  return (chainDer, now) => (chainDer.length === 0 ? undefined : verifyPeer(textOf(chainDer), now));
}
