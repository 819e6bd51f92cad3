// Reads single elements of a set by netlink (linux/netfilter/nf_tables.h).
import { exchange, openNetlink } from '../../../runtime/linux-netlink.ts';
import {
  attributesOf,
  eachAttribute,
  NETLINK,
  NetlinkWriter,
  NLM_F,
  numberOf,
  textOf,
} from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkMessage } from '../../../runtime/linux-netlink-wire.ts';
import { firewallErrors } from '../errors.ts';
import type { FlowAddress } from './flow-address.ts';
import { SEEN_TIMEOUT_MS } from './limits.ts';
import type { OpenSocket } from './netlink-flows.ts';
import type { ReadSeen, SeenElement } from './seen.ts';

const SUBSYSTEM = 10;
const MESSAGE = {
  set: (SUBSYSTEM << 8) | 9,
  getSet: (SUBSYSTEM << 8) | 10,
  element: (SUBSYSTEM << 8) | 12,
  getElement: (SUBSYSTEM << 8) | 13,
} as const;
const NFPROTO_INET = 1;
const NETFILTER_HEADER_BYTES = 4;
const LIST = { table: 1, set: 2, elements: 3 } as const;
const ELEMENT = { key: 1, expiration: 5, expression: 7, expressions: 11 } as const;
const EXPRESSION = { name: 1, data: 2 } as const;
const COUNTER = { bytes: 1, packets: 2 } as const;
/** NFTA_LIST_ELEM and NFTA_DATA_VALUE. */
const ITEM = 1;
const VALUE = 1;

/** `namespace`: path of another network namespace than the process's own. Rejects with LINUX_* or FIREWALL_FLOWS. */
export function netlinkSeen(
  table: string,
  namespace?: string,
  open: OpenSocket = (protocol) => openNetlink(protocol, namespace === undefined ? {} : { namespace }),
): ReadSeen {
  return async (set, addresses) => {
    if (addresses.length === 0) return [];
    const writer = new NetlinkWriter();
    const begin = (type: number): NetlinkWriter =>
      writer.begin(type, NLM_F.request).netfilter(NFPROTO_INET).string(LIST.table, table).string(LIST.set, set);
    // An element that is not there is no fault, a set that is not there is one.
    begin(MESSAGE.getSet);
    for (const { bytes } of addresses) {
      begin(MESSAGE.getElement);
      writer.nested(LIST.elements, () =>
        writer.nested(ITEM, () => writer.nested(ELEMENT.key, () => writer.bytes(VALUE, bytes))),
      );
    }
    const socket = open(NETLINK.netfilter);
    try {
      const seen: SeenElement[] = [];
      const refused = exchange(socket, writer.finish(), {
        answer: (message) => {
          if (message.type !== MESSAGE.set) seen.push(...readSeenElements(message, addresses));
        },
      });
      const fault = refused.find(({ errno, message }) => errno !== 'ENOENT' || message === 0);
      if (fault !== undefined) throw firewallErrors.error('FIREWALL_FLOWS', `set ${set}: ${fault.errno}`);
      return seen;
    } finally {
      socket.close();
    }
  };
}

/** The elements in one answer that are among the addresses. Throws LINUX_NETLINK_MALFORMED or FIREWALL_FLOWS. */
export function readSeenElements({ type, payload }: NetlinkMessage, addresses: readonly FlowAddress[]): SeenElement[] {
  if (type !== MESSAGE.element || payload.length < NETFILTER_HEADER_BYTES) throw unreadable(`message type ${type}`);
  const list = attributesOf(payload, NETFILTER_HEADER_BYTES).get(LIST.elements);
  if (list === undefined) throw unreadable('no elements');
  const seen: SeenElement[] = [];
  eachAttribute(list, 0, list.length, (_, start, end) => {
    const element = attributesOf(list, start, end);
    const key = element.get(ELEMENT.key);
    const value = key === undefined ? undefined : attributesOf(key).get(VALUE);
    if (value === undefined) throw unreadable('an element without a key');
    const address = addresses.find(({ bytes }) => bytes.equals(value));
    if (address === undefined) return;
    const left = numberOf(element.get(ELEMENT.expiration), 8, 'the time that an element has left');
    seen.push({ address, agoMs: Math.max(0, SEEN_TIMEOUT_MS - left), ...counterOf(element) });
  });
  return seen;
}

function counterOf(element: ReadonlyMap<number, Buffer>): Pick<SeenElement, 'packets' | 'bytes'> {
  // One expression stands alone, several in a list.
  const single = element.get(ELEMENT.expression);
  const list = element.get(ELEMENT.expressions);
  const expressions: Buffer[] = single === undefined ? [] : [single];
  if (list !== undefined) {
    eachAttribute(list, 0, list.length, (_, start, end) => expressions.push(list.subarray(start, end)));
  }
  for (const expression of expressions) {
    const parts = attributesOf(expression);
    if (textOf(parts.get(EXPRESSION.name), 'the name of an expression') !== 'counter') continue;
    const counter = attributesOf(parts.get(EXPRESSION.data) ?? Buffer.alloc(0));
    return {
      packets: numberOf(counter.get(COUNTER.packets), 8, 'packets'),
      bytes: numberOf(counter.get(COUNTER.bytes), 8, 'bytes'),
    };
  }
  throw unreadable('an element without a counter');
}

const unreadable = (what: string): Error =>
  firewallErrors.error('FIREWALL_FLOWS', `the kernel answered with something else than an element: ${what}`);
