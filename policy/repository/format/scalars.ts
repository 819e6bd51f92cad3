// The words every file of a policy repository shares: ids, durations, dates, address blocks, selectors, paths.
// Refinements rather than patterns, so that a fault says what was expected in words.
import { z } from 'zod';
import { cidrRange, overlapping } from '../../../runtime/address-ranges.ts';
import { idPattern } from '../../bundle/scalars.ts';

const worded = (pattern: RegExp, expected: string): z.ZodString =>
  z.string().refine((text) => pattern.test(text), { message: `expected ${expected}`, abort: true });

export const id: z.ZodString = worded(idPattern, 'an id: lower case letters, digits, dots and dashes, at most 64');

export const label = z.record(
  worded(/^[a-zA-Z0-9]([a-zA-Z0-9._/-]{0,62}[a-zA-Z0-9])?$/, 'a label name of at most 64 characters'),
  z.string().max(256),
);

const labelSelector = z.strictObject({
  labels: label.refine((value) => Object.keys(value).length > 0, 'expected at least one label'),
});

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const durationPattern = /^([1-9][0-9]{0,6})([smhd])$/;

/** `90s`, `15m`, `24h`, `7d`; becomes milliseconds. */
export const duration = worded(durationPattern, 'a duration such as 90s, 15m, 24h or 7d').transform((text): number => {
  const match = durationPattern.exec(text);
  return Number(match?.[1]) * unitMs[(match?.[2] ?? 's') as keyof typeof unitMs];
});

const datePattern = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?Z)?$/;

const date = (alone: string) =>
  z.string().refine((text) => datePattern.test(text) && isRealDate(text), {
    message: `expected a date such as 2027-03-31 (${alone}, UTC) or a time such as 2027-03-31T18:00Z`,
    abort: true,
  });

/** RFC 3339 in UTC. A date alone counts through its last moment. Becomes the first millisecond that is past it. */
export const until = date('through that day').transform((text): number =>
  text.length === 10 ? Date.parse(text) + unitMs.d : Date.parse(text),
);

/** RFC 3339 in UTC. A date alone counts from its first moment. Becomes its milliseconds. */
export const notBefore = date('from that day on').transform((text): number => Date.parse(text));

/** Date.parse rolls 2027-02-31 over into March; a typo must not become another date. */
function isRealDate(text: string): boolean {
  const parsed = Date.parse(text);
  return !Number.isNaN(parsed) && new Date(parsed).toISOString().startsWith(text.slice(0, 10));
}

/** Minutes of the UTC day, end exclusive: `06:00-18:00`, over midnight `22:00-06:00`, end of day `24:00`. */
export const timeWindow = worded(
  /^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$/,
  'a window of the UTC day such as 06:00-18:00, end exclusive',
)
  .transform((text) => {
    const [from = '', to = ''] = text.split('-');
    return { fromMinute: minuteOf(from), toMinute: minuteOf(to) };
  })
  .refine((window) => window.fromMinute !== window.toMinute, 'expected an end that differs from the start');

function minuteOf(clock: string): number {
  return Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));
}

/** `0-99` or `7`, or the number itself; becomes an inclusive range of 16-bit numbers. */
export const range16 = z.union([z.number(), z.string()]).transform((value, context): [number, number] => {
  const text = String(value);
  const [from = 0, to = from] = text.split('-').map(Number);
  if (/^\d{1,5}(-\d{1,5})?$/.test(text) && from <= to && to <= 65535) return [from, to];
  context.addIssue({
    code: 'custom',
    message: 'expected a number or an inclusive range such as "0-99", smaller number first, at most 65535',
  });
  return z.NEVER;
});

export const port = z.int().min(1).max(65535);

/** IPv4-mapped (RFC 4291 section 2.5.5.2) is how programs write an IPv4 address; no packet has it. */
const isMapped = (text: string): boolean =>
  text.includes(':') && overlapping([cidrRange('::ffff:0:0/96')], cidrRange(text.replace(/\/.*/, ''))) !== undefined;
const plain = (text: string): boolean => !isMapped(text);
const plainly = {
  message: 'expected the IPv4 address itself, not its IPv4-mapped form in IPv6: no packet has that',
  abort: true,
};

export const cidr = z.union([z.cidrv4(), z.cidrv6()]).refine(plain, plainly);

export const address = z.union([z.ipv4(), z.ipv6()]).refine(plain, plainly);

export const macAddress: z.ZodString = worded(
  /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/,
  'a hardware address in lower case such as 02:00:00:00:00:0b',
);

export const sha256 = worded(/^[0-9a-f]{64}$/, 'a SHA-256 digest in lower case hex');

/** Devices: a list of ids, or labels that all have to be equal. */
export const selector = z.union([z.array(id).min(1), labelSelector]);
export type Selector = z.infer<typeof selector>;

export const selectorOrAll = z.union([z.literal('all'), z.array(id).min(1), labelSelector]);
export type SelectorOrAll = z.infer<typeof selectorOrAll>;

export { labelSelector, worded };

export const trustDomain = worded(
  /^[a-z0-9._-]{1,255}$/,
  'a SPIFFE trust domain: lower case letters, digits, dots, dashes, underscores',
);

export const safetyClass = z.enum(['safety', 'normal', 'sensitive']);
export const binding = z.enum(['svid', 'port+mac+ip', 'ip']);
/** Hardware classes of an appraisal, weakest first. */
export const attestationClass = z.enum(['none', 'software', 'idevid', 'tpm']);
