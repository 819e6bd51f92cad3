// What a proxy forwards of a client's certificate.
const end = '-----END CERTIFICATE-----\n';

/** The leaf alone, as nginx and Envoy send it, of a chain in PEM. */
export function leafPem(chain: string): string {
  const at = chain.indexOf(end);
  if (at < 0) throw new Error('no certificate in the chain');
  return chain.slice(0, at + end.length);
}
