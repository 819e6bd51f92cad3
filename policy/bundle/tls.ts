// TLS that is passed through unopened, by the server name of its first message (RFC 6066, section 3), in a slice.
import { z } from 'zod';
import { id } from './scalars.ts';

/** Server names of one operation. */
export const MAX_SERVER_NAMES = 256;
/** Characters of a name (RFC 1035, 2.3.4). */
export const MAX_SERVER_NAME_LENGTH = 253;

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Labels in lower case (RFC 1123, 2.1), without a last dot. */
export function isServerName(text: string): boolean {
  return text.length <= MAX_SERVER_NAME_LENGTH && text.split('.').every((part) => label.test(part));
}

/** The same, or a star as the whole first label above two others (RFC 6125, 6.4.3). */
export function isServerNamePattern(text: string): boolean {
  const above = text.startsWith('*.') ? text.slice(2) : undefined;
  return above === undefined ? isServerName(text) : above.includes('.') && isServerName(above);
}

export const sliceTlsOperationSchema = z.strictObject({
  name: id,
  protocol: z.literal('tls'),
  /** Server names, `*.` in front for any one label. */
  names: z.array(z.string().refine(isServerNamePattern)).min(1).max(MAX_SERVER_NAMES),
  class: z.enum(['safety', 'normal', 'sensitive']),
  island: z.boolean(),
});

/** As `Operation` of policy/engine/request.ts. */
export const tlsVectorSchema = z.strictObject({
  protocol: z.literal('tls'),
  serverName: z.string(),
  alpn: z.array(z.string()),
});
