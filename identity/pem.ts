// PEM of certificates (RFC 7468), strict: the exact form that we write, several in a row.
import { identityError } from './errors.ts';
import { MAX_CHAIN_LENGTH } from './limits.ts';

const BEGIN = '-----BEGIN CERTIFICATE-----\n';
const END = '-----END CERTIFICATE-----\n';

/** Certificates in order, lines of 64 characters. */
export function certificatesToPem(certificates: readonly Uint8Array[]): string {
  return certificates
    .map(
      (der) =>
        `${BEGIN}${Buffer.from(der)
          .toString('base64')
          .replace(/.{1,64}/g, '$&\n')}${END}`,
    )
    .join('');
}

/** DER of every certificate in the text; text that is not exactly such blocks is refused. */
export function certificatesFromPem(pem: string, max: number = MAX_CHAIN_LENGTH): Buffer[] {
  const blocks = pem.split(END);
  if (blocks.pop() !== '' || blocks.length === 0)
    throw identityError('IDENTITY_CERTIFICATE_INVALID', 'the text is not a series of PEM certificates');
  if (blocks.length > max) throw identityError('IDENTITY_TOO_LARGE', `more than ${max} certificates`);
  const certificates = blocks.map((block) => Buffer.from(block.slice(BEGIN.length), 'base64'));
  if (certificatesToPem(certificates) !== pem)
    throw identityError('IDENTITY_CERTIFICATE_INVALID', 'the PEM text is not in its canonical form');
  return certificates;
}
