// Proxies on other hosts that may ask this edge (`authz.tls`): who they have to be, by our identity and the orders of now.
import { type RemoteProxies } from '../../enforcer/authz/index.ts';
import type { OrdersStore } from '../../enforcer/activation/index.ts';
import { exportPkcs8Pem, parseSpiffeId } from '../../identity/index.ts';
import { rowOf } from '../../policy/engine/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { errorTable } from '../../runtime/errors.ts';
import type { EdgeCore } from './core.ts';
import { subjectErrors } from './subjects.ts';
import { createVerifiedChains, createVerifiedPeers } from './verified-peers.ts';

export const remoteProxyErrors = errorTable({
  AUTHZ_PROXY_TRUST_DOMAIN: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Name SPIFFE IDs of the trust domain of this edge in authz.tls.proxies.',
  },
});

/** Undefined where the configuration has none. Throws AUTHZ_PROXY_TRUST_DOMAIN. */
export function remoteProxies(
  { config, own, trusted, emit }: Pick<EdgeCore, 'config' | 'own' | 'trusted' | 'emit'>,
  orders: Pick<OrdersStore, 'subjectState' | 'view'>,
): RemoteProxies | undefined {
  const { tls } = config.authz;
  if (tls === undefined) return undefined;
  for (const uri of tls.proxies) mustBeOurs(uri, own.anchors().trustDomain);
  const verifyChain = createVerifiedChains(
    own,
    createVerifiedPeers(own, () => orders.view().revoked),
  );
  return {
    listen: tls.listen,
    proxies: new Set(tls.proxies),
    tls: () => {
      const { keys, chain, anchors } = own.current();
      return { key: exportPkcs8Pem(keys.privateKey), chain, roots: anchors.roots };
    },
    follow: (changed) => own.follow(changed),
    verify: (chainDer) => {
      const svid = verifyChain(chainDer, trusted.now());
      if (svid === undefined) throw subjectErrors.error('SUBJECT_NOT_IDENTIFIED', 'no client certificate');
      return svid.id;
    },
    rowOf: (device) => rowOf(orders.subjectState(device).state),
    emit,
    clock: systemClock,
  };
}

function mustBeOurs(uri: string, trustDomain: string): void {
  const found = parseSpiffeId(uri).trustDomain;
  if (found === trustDomain) return;
  throw remoteProxyErrors.error('AUTHZ_PROXY_TRUST_DOMAIN', `authz.tls.proxies: ${uri} is not of ${trustDomain}`);
}
