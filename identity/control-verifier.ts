// What every client of the control plane checks of its server: a chain to the roots it knows, and the one SPIFFE ID.
import { identityError } from './errors.ts';
import { verifyChain } from './path.ts';
import { certificatesFromPem } from './pem.ts';
import { controlId } from './spiffe-id.ts';

/** A check for `verifyServer` (runtime/grpc): throws unless the chain is that of `spiffe://<trust-domain>/control/server`. */
export function controlVerifier(
  trustDomain: string,
  roots: string | readonly Uint8Array[],
  options: { readonly now?: () => number; readonly revoked?: (serialHex: string) => boolean } = {},
): (chainDer: readonly Uint8Array[]) => void {
  const rootsDer = typeof roots === 'string' ? certificatesFromPem(roots) : roots;
  const expected = controlId(trustDomain, 'server').uri;
  const { now = Date.now, revoked } = options;
  return ([leaf, ...rest]) => {
    if (leaf === undefined) throw identityError('IDENTITY_SVID_INVALID', 'the server presented no certificate');
    const intermediates = rest.filter((der) => !rootsDer.some((root) => Buffer.from(root).equals(der)));
    const { id } = verifyChain(leaf, intermediates, rootsDer, {
      now: now(),
      trustDomain,
      ...(revoked === undefined ? {} : { revoked }),
    });
    if (id.uri !== expected) {
      throw identityError('IDENTITY_SVID_INVALID', `the server is ${id.uri}, expected ${expected}`);
    }
  };
}
