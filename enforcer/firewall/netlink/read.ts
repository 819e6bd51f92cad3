// Reads the table back: chains, rules by what they do, sets and elements, all of one generation.
import { createHash } from 'node:crypto';
import { CodedError } from '../../../runtime/errors.ts';
import { linuxErrors } from '../../../runtime/linux.ts';
import { exchange } from '../../../runtime/linux-netlink.ts';
import type { NetlinkSocket } from '../../../runtime/linux-netlink.ts';
import {
  attributesOf,
  eachAttribute,
  NetlinkWriter,
  NLM_F,
  numberOf,
  textOf,
} from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkRefusal } from '../../../runtime/linux-netlink-wire.ts';
import { firewallErrors } from '../errors.ts';
import { identityOf } from '../keys.ts';
import type { Listing, ListedRule, ListedSet } from '../listing.ts';
import {
  CHAIN,
  DATA,
  ELEMENT,
  ELEMENT_INTERVAL_END,
  ELEMENTS,
  HOOK,
  HOOKS,
  MARK_TYPE,
  NFPROTO_INET,
  NFT_MSG,
  RULE,
  SET,
  SET_DESCRIPTION,
  SET_FLAG,
  TABLE,
  TABLE_FLAG,
  VERDICT,
  VERDICT_CODE,
  verdictName,
  VERDICT_TYPE,
} from './codes.ts';
import { anonymousText, contentOf } from './content.ts';
import type { ContentCache } from './content.ts';
import { keyLayout, keyTypesOf } from './key-bytes.ts';
import type { KeyLayout } from './key-bytes.ts';

type Socket = Pick<NetlinkSocket, 'send' | 'read'>;

/** Times that a listing begins again because the rules changed meanwhile. */
const MAX_ATTEMPTS = 10;
/** `struct nfgenmsg` before the attributes. */
const BODY = 4;

/** The table as the kernel has it; undefined when there is none. Throws LINUX_NETLINK_INTERRUPTED when it never holds still. */
export function readTable(socket: Socket, table: string, cache: ContentCache): Listing | undefined {
  for (let attempt = 1; ; attempt += 1) {
    const before = generation(socket);
    try {
      const listing = readOnce(socket, table, cache);
      if (generation(socket) === before) return listing;
    } catch (error) {
      // What was listed first may be gone later.
      const moving = error instanceof CodedError && retried.has(error.code) && attempt < MAX_ATTEMPTS;
      if (!moving || (error.code === 'FIREWALL_KERNEL_REFUSED' && generation(socket) === before)) throw error;
    }
    if (attempt === MAX_ATTEMPTS)
      throw linuxErrors.error('LINUX_NETLINK_INTERRUPTED', 'the rules changed while they were listed');
  }
}

const retried = new Set(['LINUX_NETLINK_INTERRUPTED', 'FIREWALL_KERNEL_REFUSED']);

/** Number of the last change of any table in this namespace. */
export function generation(socket: Socket): number {
  let id = 0;
  ask(
    socket,
    NFT_MSG.getGeneration,
    0,
    () => undefined,
    (payload) => {
      id = numberOf(attributesOf(payload, BODY).get(1), 4, 'generation');
    },
  );
  return id;
}

function ask(
  socket: Socket,
  type: number,
  flags: number,
  fill: (out: NetlinkWriter) => unknown,
  take: (payload: Buffer) => void,
): NetlinkRefusal | undefined {
  const out = new NetlinkWriter(256).begin(type, NLM_F.request | NLM_F.ack | flags).netfilter(NFPROTO_INET);
  fill(out);
  return exchange(socket, out.finish(), { answer: ({ payload }) => take(payload) })[0];
}

function dump(
  socket: Socket,
  type: number,
  fill: (out: NetlinkWriter) => unknown,
  take: (payload: Buffer) => void,
): void {
  const refusal = ask(socket, type, NLM_F.dump, fill, take);
  if (refusal === undefined) return;
  const code = refusal.errno === 'EPERM' ? 'FIREWALL_PERMISSION' : 'FIREWALL_KERNEL_REFUSED';
  throw firewallErrors.error(
    code,
    `list: ${refusal.errno}${refusal.reason === undefined ? '' : ` (${refusal.reason})`}`,
  );
}

function readOnce(socket: Socket, table: string, cache: ContentCache): Listing | undefined {
  const named = (out: NetlinkWriter): unknown => out.string(TABLE.name, table);
  const strange: string[] = [];
  const refusal = ask(socket, NFT_MSG.getTable, 0, named, (payload) => {
    strange.push(...strangeFlags(numberOf(attributesOf(payload, BODY).get(TABLE.flags), 4, 'table flags')));
  });
  if (refusal?.errno === 'ENOENT') return undefined;
  if (refusal !== undefined) {
    const code = refusal.errno === 'EPERM' ? 'FIREWALL_PERMISSION' : 'FIREWALL_KERNEL_REFUSED';
    throw firewallErrors.error(code, `table ${table}: ${refusal.errno}`);
  }
  for (const [type, kind] of [
    [NFT_MSG.getObject, 'object'],
    [NFT_MSG.getFlowtable, 'flowtable'],
  ] as const) {
    dump(socket, type, named, (payload) => {
      const found = attributesOf(payload, BODY);
      if (textOf(found.get(1), 'table') === table) strange.push(`${kind} ${textOf(found.get(2), kind)}`);
    });
  }
  const digest = createHash('sha256');
  const chains = readChains(socket, table);
  const { sets, anonymous } = readSets(socket, table, digest);
  const rules = readRules(socket, table, anonymous, cache);
  for (const [name, signature] of chains) digest.update(`${name}\n${signature}\n`);
  for (const rule of rules) digest.update(`${rule.chain}\n${rule.signature}\n`);
  return { chains, rules, sets, strange, fingerprint: digest.digest('hex'), signatureOf: contentOf };
}

/** Flags of a table that change what it does. */
function strangeFlags(flags: number): string[] {
  const known = TABLE_FLAG.owner | TABLE_FLAG.persist;
  if ((flags & TABLE_FLAG.dormant) !== 0) return ['the flag dormant'];
  return (flags & ~known) === 0 ? [] : [`flags ${flags & ~known}`];
}

const hookNames = new Map<number, string>(Object.entries(HOOKS).map(([name, number]) => [number, name]));

function readChains(socket: Socket, table: string): Map<string, string> {
  const chains = new Map<string, string>();
  // The kernel lists the chains of every table of the family.
  dump(
    socket,
    NFT_MSG.getChain,
    () => undefined,
    (payload) => {
      const chain = attributesOf(payload, BODY);
      if (textOf(chain.get(CHAIN.table), 'table') !== table) return;
      const hook = chain.get(CHAIN.hook);
      chains.set(
        textOf(chain.get(CHAIN.name), 'chain'),
        hook === undefined ? '' : baseChain(attributesOf(hook), chain),
      );
    },
  );
  return chains;
}

function baseChain(hook: Map<number, Buffer>, chain: Map<number, Buffer>): string {
  const number = numberOf(hook.get(HOOK.number), 4, 'hook');
  const priority = numberOf(hook.get(HOOK.priority), 4, 'priority') | 0;
  const policy = numberOf(chain.get(CHAIN.policy), 4, 'policy') === VERDICT_CODE.accept ? 'accept' : 'drop';
  const type = textOf(chain.get(CHAIN.type), 'chain type');
  return [hookNames.get(number) ?? `hook-${number}`, priority, policy, ...(type === 'filter' ? [] : [type])].join(' ');
}

function readRules(
  socket: Socket,
  table: string,
  anonymous: ReadonlyMap<string, string>,
  cache: ContentCache,
): ListedRule[] {
  const rules: ListedRule[] = [];
  const setText = (name: string): string => anonymous.get(name) ?? name;
  cache.begin();
  let rule = { chain: '', from: 0, to: 0 };
  dump(
    socket,
    NFT_MSG.getRule,
    (out) => out.string(RULE.table, table),
    (payload) => {
      rule = { chain: '', from: 0, to: 0 };
      eachAttribute(payload, BODY, payload.length, (type, start, end) => {
        if (type === RULE.chain) rule.chain = payload.toString('latin1', start, end - 1);
        else if (type === RULE.expressions) [rule.from, rule.to] = [start, end];
      });
      const { text, log, packets, bytes } = cache.read(payload, rule.from, rule.to, setText);
      const admits = /; ct 2=00000003 4=\w+; counter; accept$/.test(text);
      rules.push({ chain: rule.chain, signature: text, log, packets, bytes, admits });
    },
  );
  return rules;
}

interface RawSet {
  readonly name: string;
  readonly flags: number;
  readonly keyType: number;
  readonly dataType: number;
}

function readSets(
  socket: Socket,
  table: string,
  digest: { update(text: string): unknown },
): { sets: Map<string, ListedSet>; anonymous: Map<string, string> } {
  const found: RawSet[] = [];
  dump(
    socket,
    NFT_MSG.getSet,
    (out) => out.string(SET.table, table),
    (payload) => {
      const set = attributesOf(payload, BODY);
      const number = (type: number): number => (set.has(type) ? numberOf(set.get(type), 4, 'set attribute') : 0);
      const name = textOf(set.get(SET.name), 'set');
      const flags = number(SET.flags);
      found.push({ name, flags, keyType: number(SET.keyType), dataType: number(SET.dataType) });
      const description = set.get(SET.description);
      const size = description === undefined ? undefined : attributesOf(description).get(SET_DESCRIPTION.size);
      const shape = [flags, number(SET.keyType), number(SET.keyLength), number(SET.dataType), size?.toString('hex')];
      const timeout = set.get(SET.timeout)?.toString('hex');
      if ((flags & SET_FLAG.anonymous) === 0) {
        digest.update(`${name}\n${JSON.stringify([...shape, timeout, set.has(SET.expression)])}\n`);
      }
    },
  );
  const sets = new Map<string, ListedSet>();
  const anonymous = new Map<string, string>();
  for (const set of found) {
    if ((set.flags & SET_FLAG.anonymous) === 0) sets.set(set.name, listedSet(socket, table, set));
    else {
      const keys: Buffer[] = [];
      eachElement(socket, table, set.name, (bytes, { key, keyEnd }) =>
        keys.push(Buffer.from(bytes.subarray(key, keyEnd))),
      );
      anonymous.set(set.name, anonymousText(keys));
    }
  }
  return { sets, anonymous };
}

/** Where the parts of an element are in the datagram; one object for all elements of a dump. */
interface ElementPlaces {
  key: number;
  keyEnd: number;
  /** Last key of a range; equal places when there is none. */
  last: number;
  lastEnd: number;
  answer: number;
  answerEnd: number;
  /** Only closes the interval before. */
  closes: boolean;
  /** Milliseconds it has left; undefined when it does not end by itself. */
  expires: number | undefined;
}

function eachElement(
  socket: Socket,
  table: string,
  set: string,
  visit: (bytes: Buffer, places: ElementPlaces) => void,
): void {
  let bytes: Buffer = Buffer.alloc(0);
  const places: ElementPlaces = {
    key: 0,
    keyEnd: 0,
    last: 0,
    lastEnd: 0,
    answer: 0,
    answerEnd: 0,
    closes: false,
    expires: undefined,
  };
  // Made once: an element has five attributes, and a set 100,000 elements.
  const takeKey = (type: number, start: number, end: number): void => {
    if (type === DATA.value) [places.key, places.keyEnd] = [start, end];
  };
  const takeLast = (type: number, start: number, end: number): void => {
    if (type === DATA.value) [places.last, places.lastEnd] = [start, end];
  };
  const takePart = (type: number, start: number, end: number): void => {
    if (type === ELEMENT.key) eachAttribute(bytes, start, end, takeKey);
    else if (type === ELEMENT.keyEnd) eachAttribute(bytes, start, end, takeLast);
    else if (type === ELEMENT.data) [places.answer, places.answerEnd] = [start, end];
    else if (type === ELEMENT.expiration && end - start === 8) places.expires = Number(bytes.readBigUInt64BE(start));
    else if (type === ELEMENT.flags) places.closes = ((bytes[end - 1] ?? 0) & ELEMENT_INTERVAL_END) !== 0;
  };
  const takeElement = (_: number, start: number, end: number): void => {
    // The catch-all element has no key.
    places.key = places.keyEnd = places.last = places.lastEnd = places.answer = places.answerEnd = 0;
    places.closes = false;
    places.expires = undefined;
    eachAttribute(bytes, start, end, takePart);
    visit(bytes, places);
  };
  dump(
    socket,
    NFT_MSG.getElements,
    (out) => out.string(ELEMENTS.table, table).string(ELEMENTS.set, set),
    (payload) => {
      bytes = payload;
      eachAttribute(payload, BODY, payload.length, (type, start, end) => {
        if (type === ELEMENTS.list) eachAttribute(payload, start, end, takeElement);
      });
    },
  );
}

/** `goto c`, or a mark; undefined in a set. */
function answerText(bytes: Buffer, { answer, answerEnd }: ElementPlaces): string | undefined {
  if (answer === answerEnd) return undefined;
  const data = attributesOf(bytes, answer, answerEnd);
  const verdict = data.get(DATA.verdict);
  if (verdict === undefined) {
    const value = data.get(DATA.value);
    return value?.length === 4 ? String(value.readUInt32LE()) : (value?.toString('hex') ?? '');
  }
  const parts = attributesOf(verdict);
  const code = numberOf(parts.get(VERDICT.code), 4, 'verdict') | 0;
  const chain = parts.get(VERDICT.chain);
  return `${verdictName(code)}${chain === undefined ? '' : ` ${textOf(chain, 'chain')}`}`;
}

function listedSet(socket: Socket, table: string, set: RawSet): ListedSet {
  const types = keyTypesOf(set.keyType);
  const answers = (set.flags & SET_FLAG.map) === 0 ? '' : `:${dataTypeNames.get(set.dataType) ?? set.dataType}`;
  const elements: string[] = [];
  const expiring = new Map<string, number>();
  const layout = types === undefined ? undefined : keyLayout(types);
  if (layout !== undefined && (set.flags & SET_FLAG.interval) !== 0 && types?.length === 1) {
    return { type: `${types.join('.')}${answers}`, elements: intervals(socket, table, set.name, layout), expiring };
  }
  eachElement(socket, table, set.name, (bytes, places) => {
    const element = elementText(layout, bytes, places);
    elements.push(element);
    if (places.expires !== undefined) expiring.set(element, places.expires);
  });
  return { type: `${types?.join('.') ?? set.keyType}${answers}`, elements, expiring };
}

function elementText(layout: KeyLayout | undefined, bytes: Buffer, places: ElementPlaces): string {
  const { key, keyEnd, last, lastEnd } = places;
  const isWhole = (length: number): boolean => length === layout?.length;
  // Of no plan, or a key that is none: shown as it is, so that it is found to differ.
  if (layout === undefined || !isWhole(keyEnd - key) || !(last === lastEnd || isWhole(lastEnd - last)))
    return `key ${bytes.toString('hex', key, keyEnd)}`;
  const text =
    last === lastEnd
      ? layout.textAt(bytes, key)
      : layout.rangeText(bytes.subarray(key, keyEnd), bytes.subarray(last, lastEnd));
  return identityOf(text, answerText(bytes, places));
}

const dataTypeNames = new Map([
  [VERDICT_TYPE, 'verdict'],
  [MARK_TYPE, 'mark'],
]);

/** Pairs of first and after-last key become ranges; a range without an end goes up to the highest key. */
function intervals(socket: Socket, table: string, set: string, layout: KeyLayout): string[] {
  const ends: { key: Buffer; closes: boolean; answer: string | undefined }[] = [];
  eachElement(socket, table, set, (bytes, places) => {
    const key = Buffer.alloc(layout.length);
    bytes.copy(key, 0, places.key, places.keyEnd);
    ends.push({ key, closes: places.closes, answer: answerText(bytes, places) });
  });
  ends.sort((a, b) => Buffer.compare(a.key, b.key) || Number(b.closes) - Number(a.closes));
  return ends.flatMap((element, index) => {
    if (element.closes) return [];
    const next = ends[index + 1];
    const last = next === undefined ? Buffer.alloc(layout.length, 0xff) : predecessor(next.key);
    return [identityOf(layout.rangeText(element.key, last), element.answer)];
  });
}

function predecessor(key: Buffer): Buffer {
  const previous = Buffer.from(key);
  for (let index = previous.length - 1; index >= 0; index -= 1) {
    const byte = previous[index] ?? 0;
    previous[index] = (byte - 1) & 0xff;
    if (byte !== 0) break;
  }
  return previous;
}
