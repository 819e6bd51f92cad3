// Tracked connections (linux/netfilter/nfnetlink_conntrack.h): the questions for those of one address, what the kernel
// answers, and the order to forget one.
import { attributesOf, NLM_F, numberOf, NetlinkWriter } from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkMessage, NetlinkRequest } from '../../../runtime/linux-netlink-wire.ts';
import { firewallErrors } from '../errors.ts';
import type { FlowAddress } from './flow-address.ts';

const SUBSYSTEM = 1;
const MESSAGE = { entry: SUBSYSTEM << 8, get: (SUBSYSTEM << 8) | 1, delete: (SUBSYSTEM << 8) | 2 } as const;
const NETFILTER_HEADER_BYTES = 4;
const CTA = { original: 1, reply: 2, id: 12, zone: 18, filter: 25 } as const;
const CTA_TUPLE = { ip: 1, protocol: 2 } as const;
const CTA_IP = { 4: { source: 1, destination: 2 }, 6: { source: 3, destination: 4 } } as const;
const CTA_PROTO_SOURCE_PORT = 2;
const CTA_FILTER = { original: 1, reply: 2 } as const;
const FILTER_SOURCE = 1;

/** AF_INET and AF_INET6. */
const families = { 4: 2, 6: 10 } as const;

/** The side of a flow that sends as `original` opened it; the other one is its real server, behind any NAT. */
export type FlowSide = 'original' | 'reply';

export interface TrackedFlow {
  readonly family: 4 | 6;
  /** Who sends in each direction, as the kernel's bytes. */
  readonly source: Readonly<Record<FlowSide, Buffer>>;
  /** Port of the server, as filters on this host see it; absent without ports. */
  readonly servicePort?: number;
  /** What names exactly this entry: views that are valid as long as the message. */
  readonly tuple: Buffer;
  readonly id: Buffer;
  readonly zone: Buffer | undefined;
}

/**
 * Questions whose answers hold all flows of `address`, among others: kernels before 5.8 know no filter, and for IPv6 the
 * kernel's own is of no use (6.18 answers with everything but what was asked for).
 */
export function listFlows(address: FlowAddress): (() => NetlinkRequest)[] {
  if (address.family === 6) return [() => listing(6, () => {})];
  return (['original', 'reply'] as const).map((side) => () => listing(4, (writer) => sentBy(address, side, writer)));
}

function listing(family: 4 | 6, filter: (writer: NetlinkWriter) => void): NetlinkRequest {
  const writer = new NetlinkWriter(128);
  writer.begin(MESSAGE.get, NLM_F.request | NLM_F.dump).netfilter(families[family]);
  filter(writer);
  return writer.finish();
}

/** Only flows in which the address sends on `side`. */
function sentBy(address: FlowAddress, side: FlowSide, writer: NetlinkWriter): void {
  writer.nested(CTA[side], () =>
    writer.nested(CTA_TUPLE.ip, () => writer.bytes(CTA_IP[address.family].source, address.bytes)),
  );
  // The only numbers here in host order.
  const flags = (on: boolean): Buffer => Buffer.of(on ? FILTER_SOURCE : 0, 0, 0, 0);
  writer.nested(CTA.filter, () =>
    writer.bytes(CTA_FILTER.original, flags(side === 'original')).bytes(CTA_FILTER.reply, flags(side === 'reply')),
  );
}

/** Throws LINUX_NETLINK_MALFORMED or FIREWALL_FLOWS for an answer that names no flow. */
export function readFlow({ type, payload }: NetlinkMessage): TrackedFlow {
  if (type !== MESSAGE.entry || payload.length < NETFILTER_HEADER_BYTES) {
    throw unreadable(`message type ${type} of ${payload.length} bytes`);
  }
  const attributes = attributesOf(payload, NETFILTER_HEADER_BYTES);
  const tuple = attributes.get(CTA.original);
  const reply = attributes.get(CTA.reply);
  const id = attributes.get(CTA.id);
  if (tuple === undefined || reply === undefined || id?.length !== 4) throw unreadable('no tuple or no id');
  const family = payload[0] === families[4] ? 4 : payload[0] === families[6] ? 6 : undefined;
  if (family === undefined) throw unreadable(`address family ${payload[0]}`);
  const zone = attributes.get(CTA.zone);
  const servicePort = sourcePort(reply);
  return {
    family,
    source: { original: sourceOf(tuple, family), reply: sourceOf(reply, family) },
    ...(servicePort === undefined ? {} : { servicePort }),
    tuple,
    id,
    zone,
  };
}

/** Adds the order to forget exactly this flow; one that was made anew over the same ports is another. */
export function addFlowDeletion(writer: NetlinkWriter, flow: TrackedFlow): void {
  writer.begin(MESSAGE.delete, NLM_F.request).netfilter(families[flow.family]);
  const tuple = writer.open(CTA.original);
  writer.raw(flow.tuple).close(tuple);
  writer.bytes(CTA.id, flow.id);
  if (flow.zone !== undefined) writer.bytes(CTA.zone, flow.zone);
}

function sourceOf(tuple: Buffer, family: 4 | 6): Buffer {
  const ip = attributesOf(tuple).get(CTA_TUPLE.ip);
  const source = ip === undefined ? undefined : attributesOf(ip).get(CTA_IP[family].source);
  if (source?.length !== (family === 4 ? 4 : 16)) throw unreadable('a tuple without a source');
  return source;
}

function sourcePort(tuple: Buffer): number | undefined {
  const protocol = attributesOf(tuple).get(CTA_TUPLE.protocol);
  const port = protocol === undefined ? undefined : attributesOf(protocol).get(CTA_PROTO_SOURCE_PORT);
  return port === undefined ? undefined : numberOf(port, 2, 'a port');
}

const unreadable = (what: string): Error =>
  firewallErrors.error('FIREWALL_FLOWS', `the connection tracker answered with something else than a flow: ${what}`);
