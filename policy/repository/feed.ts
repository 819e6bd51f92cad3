// Threat feeds as files of the repository: address blocks, one a line, `#` and `;` before comments, as FireHOL's netsets
// and Spamhaus' DROP lists are written. A list comes from somebody else, so every line is held against what it may be:
// a block that is malformed, too wide, or not an address of somebody on the internet is refused, never skipped.
import ipaddr from 'ipaddr.js';
import {
  addressNumber,
  cidrFamily,
  cidrRange,
  mergeRanges,
  overlapping,
  rangeCidrs,
  type AddressRange,
  type Family,
} from '../../runtime/address-ranges.ts';
import { MAX_RULE_PEERS } from '../bundle/firewall.ts';
import { MAX_FEED_LINE, MAX_FEED_LINES, MIN_FEED_PREFIX } from '../limits.ts';

export interface FeedProblem {
  readonly line: number;
  readonly message: string;
  /** It is about the list, not about this line. */
  readonly whole?: true;
}

export interface FeedBlock {
  readonly family: Family;
  readonly range: AddressRange;
  readonly line: number;
}

export interface Feed {
  /** As written, without the lines that are refused. */
  readonly blocks: readonly FeedBlock[];
  /** The same addresses as few prefixes as possible, IPv4 before IPv6. */
  readonly peers: readonly string[];
  readonly merged: Readonly<Record<Family, readonly AddressRange[]>>;
  /** In the order of the lines. */
  readonly problems: readonly FeedProblem[];
}

const families: readonly Family[] = [4, 6];

/** What no list may touch, with what it is. IANA special-purpose registries (RFC 6890). */
const special: readonly { readonly cidr: string; readonly what: string }[] = [
  { cidr: '0.0.0.0/8', what: 'this host' },
  { cidr: '127.0.0.0/8', what: 'loopback' },
  { cidr: '169.254.0.0/16', what: 'link-local' },
  { cidr: '224.0.0.0/4', what: 'multicast' },
  { cidr: '255.255.255.255/32', what: 'broadcast' },
  { cidr: '::/127', what: 'loopback' },
  { cidr: '::ffff:0:0/96', what: 'IPv4 inside IPv6' },
  { cidr: 'fe80::/10', what: 'link-local' },
  { cidr: 'ff00::/8', what: 'multicast' },
];
const refused = special.map(({ cidr, what }) => ({ cidr, what, family: cidrFamily(cidr), range: cidrRange(cidr) }));

export function parseFeed(text: string): Feed {
  const problems: FeedProblem[] = [];
  const blocks: FeedBlock[] = [];
  let line = 0;
  for (const written of linesOf(text)) {
    line += 1;
    if (line > MAX_FEED_LINES) {
      problems.push({ line, message: `more than ${MAX_FEED_LINES} lines; the rest is not read`, whole: true });
      break;
    }
    const block = written.replace(/[#;].*$/s, '').trim();
    if (block === '') continue;
    const read = readBlock(block, line);
    if (typeof read === 'string') problems.push({ line, message: read });
    else blocks.push(read);
  }
  const merged = mergeBlocks(blocks);
  const size = problems.length > 0 && blocks.length === 0 ? undefined : sizeProblem(merged);
  return { ...merged, problems: size === undefined ? problems : [size, ...problems] };
}

export function mergeBlocks(blocks: readonly FeedBlock[]): Omit<Feed, 'problems'> {
  const of = (family: Family): AddressRange[] =>
    mergeRanges(blocks.filter((block) => block.family === family).map(({ range }) => range));
  const merged = { 4: of(4), 6: of(6) };
  const peers = families.flatMap((family) => merged[family].flatMap((range) => rangeCidrs(family, range)));
  return { blocks, peers, merged };
}

/** What is wrong with the list as a whole. */
export function sizeProblem({ peers }: Pick<Feed, 'peers'>): FeedProblem | undefined {
  if (peers.length === 0) {
    return { line: 1, message: 'no address block in it; an empty list is a broken download', whole: true };
  }
  if (peers.length <= MAX_RULE_PEERS) return undefined;
  const message = `${peers.length} address blocks; at most ${MAX_RULE_PEERS} fit into a rule`;
  return { line: 1, message, whole: true };
}

/** The lines of a feed that touch `cidr`. */
export function linesTouching(feed: Feed, cidr: string): number[] {
  const [family, wanted] = [cidrFamily(cidr), cidrRange(cidr)];
  if (overlapping(feed.merged[family], wanted) === undefined) return [];
  return feed.blocks.filter((block) => block.family === family && meets(block.range, wanted)).map(({ line }) => line);
}

/** The block, or why it cannot be taken. */
function readBlock(text: string, line: number): FeedBlock | string {
  if (text.length > MAX_FEED_LINE || !isBlock(text)) {
    const shown = JSON.stringify(text.slice(0, 60));
    return `${shown} is no address block; expected a line such as 192.0.2.0/24 or 2001:db8::/32`;
  }
  const family = cidrFamily(text);
  const [base = '', length] = text.split('/');
  if (length !== undefined && Number(length) < MIN_FEED_PREFIX[family]) {
    return `${text} is wider than /${MIN_FEED_PREFIX[family]}; a list that wide cuts off whoever relies on it`;
  }
  const range = cidrRange(text);
  const touched = refused.find((entry) => entry.family === family && meets(entry.range, range));
  if (touched !== undefined) return `${text} holds addresses of ${touched.cidr} (${touched.what})`;
  if (addressNumber(base) !== range.first) {
    return `${text} has host bits set; expected ${rangeCidrs(family, range).join(', ')}`;
  }
  return { family, range, line };
}

function isBlock(text: string): boolean {
  if (!text.includes(':')) {
    return text.includes('/') ? ipaddr.IPv4.isValidCIDRFourPartDecimal(text) : ipaddr.IPv4.isValidFourPartDecimal(text);
  }
  return (
    /^[0-9a-fA-F:.]+(\/\d{1,3})?$/.test(text) &&
    (text.includes('/') ? ipaddr.IPv6.isValidCIDR(text) : ipaddr.IPv6.isValid(text))
  );
}

const meets = (a: AddressRange, b: AddressRange): boolean => a.first <= b.last && b.first <= a.last;

/** Without an array of a million lines. */
function* linesOf(text: string): Generator<string> {
  for (let from = 0; from < text.length;) {
    const end = text.indexOf('\n', from);
    yield text.slice(from, end === -1 ? text.length : end);
    if (end === -1) return;
    from = end + 1;
  }
}
