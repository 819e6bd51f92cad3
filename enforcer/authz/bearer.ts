// The token of an Authorization header (RFC 6750 section 2.1, RFC 9110 section 11.6.2).

const bearerPattern = /^bearer ([A-Za-z0-9._~+/-]+=*)$/i;

/** The token; undefined for another scheme, for none, and for several values joined into one. */
export function bearerOf(authorization: string): string | undefined {
  return bearerPattern.exec(authorization)?.[1];
}
