// Whether a network is written with host bits set.
import ipaddr from 'ipaddr.js';

/** The network that `cidr` lies in, as it should be written; undefined when it is written so. */
export function cidrWithoutHostBits(cidr: string): string | undefined {
  const [base, bits] = ipaddr.parseCIDR(cidr);
  const bytes = base
    .toByteArray()
    .map((byte, index) => byte & (0xff << (8 - Math.min(8, Math.max(0, bits - index * 8)))));
  const network = ipaddr.fromByteArray(bytes.map((byte) => byte & 0xff));
  return network.toNormalizedString() === base.toNormalizedString() ? undefined : `${network.toString()}/${bits}`;
}
