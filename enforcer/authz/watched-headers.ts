// Headers on which something rests: who the caller is, where a message ends, which request it is. Table only; what each
// rule asks for is in http-request.ts.

/**
 * `single`: one line, one value. `list`: one line, whose commas belong to it. `credentials`: one credential. `length`,
 * `coding`: how the message ends. `override`: the method again. `host`: `:authority` again. `connection`: hop-by-hop names.
 * `whole`: whether the body is all of it.
 */
export type HeaderRule =
  | 'single'
  | 'list'
  | 'credentials'
  | 'length'
  | 'coding'
  | 'override'
  | 'host'
  | 'connection'
  | 'whole';

export interface WatchedHeader {
  readonly rule: HeaderRule;
  /** A bit of its own; 0 for a header that only its family makes a watched one. */
  readonly bit: number;
}

const rules: Readonly<Record<string, HeaderRule>> = {
  host: 'host',
  connection: 'connection',
  'content-length': 'length',
  'transfer-encoding': 'coding',
  authorization: 'credentials',
  'proxy-authorization': 'credentials',
  // Lists by their definition (RFC 7239, 4), to which proxies append.
  forwarded: 'list',
  'x-forwarded-for': 'list',
  // Envoy's, one element for each proxy.
  'x-forwarded-client-cert': 'list',
  'x-forwarded-host': 'single',
  'x-forwarded-proto': 'single',
  'x-real-ip': 'single',
  'x-rewrite-url': 'single',
  // Envoy's, of the body that it sends with the question (allow_partial_message).
  'x-envoy-auth-partial-body': 'whole',
  'x-http-method': 'override',
  'x-http-method-override': 'override',
  'x-method-override': 'override',
};

/** Every name that begins so is `single`: of proxies, of the commonest forward-auth servers, our own. */
const families: readonly string[] = [
  'x-forwarded-',
  'x-original-',
  'x-edgeward-',
  'x-auth-request-',
  'x-webauth-',
  'x-remote-',
  'remote-',
];

const known: ReadonlyMap<string, WatchedHeader> = new Map(
  Object.entries(rules).map(([name, rule], index) => [name, { rule, bit: 1 << index }]),
);
const ofFamily: WatchedHeader = { rule: 'single', bit: 0 };
const familyInitials: ReadonlySet<string> = new Set(families.map((family) => family.charAt(0)));

/** By lower-case name; undefined for a header on which nothing rests. */
export function ruleOf(name: string): WatchedHeader | undefined {
  const own = known.get(name);
  if (own !== undefined || !familyInitials.has(name.charAt(0))) return own;
  for (const family of families) if (name.startsWith(family)) return ofFamily;
  return undefined;
}

/**
 * False for a name, of the given length, that `ruleOf` surely does not know, by its first and its third character (codes):
 * most begin with `x-`. Cheaper than making the name a text.
 */
export function mayBeWatched(first: number, third: number, length: number): boolean {
  return shapes.has(shapeOf(first, third, length)) || shapes.has(shapeOf(first, third, anyLength));
}

const anyLength = 0;
const shapeOf = (first: number, third: number, length: number): number => (first * 256 + third) * 1024 + length;
const shapesOf = (names: readonly string[], length: (name: string) => number): number[] =>
  names.map((name) => shapeOf(name.charCodeAt(0), name.charCodeAt(2), length(name)));
const shapes: ReadonlySet<number> = new Set([
  ...shapesOf([...known.keys()], (name) => name.length),
  ...shapesOf(families, () => anyLength),
]);

/** Options of Connection that take away no header on which a server could rest (RFC 9110, 7.6.1; RFC 9113, 3.1). */
export const hopByHop: ReadonlySet<string> = new Set([
  'close',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
]);
