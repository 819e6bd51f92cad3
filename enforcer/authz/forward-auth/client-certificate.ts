// Client certificates in the one form in which each proxy passes them on. None of it is verified here: what cannot be read is
// passed on as it is, so that it is refused as evidence rather than taken for its absence.
import { certificatesToPem } from '../../../identity/index.ts';

/** PEM, percent-encoded (nginx `$ssl_client_escaped_cert`). */
export function fromEscapedPem(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** DER in base64, one line (Caddy `certificate_der_base64`). */
export const fromBase64Der = (text: string): string => pemOf([text]) ?? text;

/** DER in base64 of the leaf and of what the client sent with it, joined by commas (Traefik `passTLSClientCert: {pem: true}`). */
export const fromBase64DerList = (text: string): string => pemOf(text.split(',')) ?? text;

function pemOf(texts: readonly string[]): string | undefined {
  const ders = texts.map((text) => Buffer.from(text, 'base64'));
  // Node skips what is not base64: only what comes out the same is what was said.
  const faithful = ders.every((der, index) => der.length > 0 && der.toString('base64') === texts[index]);
  return faithful ? certificatesToPem(ders) : undefined;
}
