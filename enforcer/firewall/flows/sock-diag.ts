// TCP sockets of this host (linux/sock_diag.h, linux/inet_diag.h): the question for those connected to one address, what
// the kernel answers, and the order to destroy one, which sends a reset to its peer also when nobody sends anything.
import { NLM_F, NetlinkWriter } from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkMessage, NetlinkRequest } from '../../../runtime/linux-netlink-wire.ts';
import { firewallErrors } from '../errors.ts';
import type { FlowAddress } from './flow-address.ts';

const MESSAGE = { byFamily: 20, destroy: 21 } as const;
const IPPROTO_TCP = 6;
const families = { 4: 2, 6: 10 } as const;
/** inet_diag_req_v2: family, protocol, extensions, padding, states, and the socket's id. */
const REQUEST_BYTES = 56;
const ID_BYTES = 48;
const REQUEST_ID_AT = 8;
/** inet_diag_msg: family, state, timer, retransmissions, the id, five numbers. */
const ANSWER_BYTES = 72;
const ANSWER_ID_AT = 4;
const REQ_BYTECODE = 1;
const BC_DESTINATION_CONDITION = 8;

/** Every state with a peer who has to learn that it is over; TIME_WAIT (6), CLOSE (7) and LISTEN (10) have none. */
const STATES = [1, 2, 3, 4, 5, 8, 9, 11, 12].reduce((mask, state) => mask | (1 << state), 0);

export interface TcpSocket {
  /** Of the socket: a dual-stack one that talks to an IPv4 peer is 6. */
  readonly family: 4 | 6;
  /** As IPv6 bytes for family 6, IPv4-mapped ones included. */
  readonly remote: Buffer;
  readonly localPort: number;
  readonly remotePort: number;
  /** `struct inet_diag_sockid`, which with its cookie names exactly this socket; a view as long as the message. */
  readonly id: Buffer;
}

/** Families of the sockets that may be connected to the address. */
export const socketFamilies = (address: FlowAddress): readonly (4 | 6)[] => (address.family === 4 ? [4, 6] : [6]);

/** Asks for the TCP sockets of a family whose peer is `address`; the kernel takes IPv4-mapped peers for IPv4. */
export function listSockets(address: FlowAddress, family: 4 | 6): NetlinkRequest {
  const request = Buffer.alloc(REQUEST_BYTES);
  request[0] = families[family];
  request[1] = IPPROTO_TCP;
  request.writeUInt32LE(STATES, 4);
  const filter = Buffer.alloc(12 + address.bytes.length);
  filter[0] = BC_DESTINATION_CONDITION;
  filter[1] = filter.length;
  // Where to go on when the peer is another: beyond the end, which is no.
  filter.writeUInt16LE(filter.length + 4, 2);
  filter[4] = families[address.family];
  filter[5] = address.bytes.length * 8;
  filter.writeInt32LE(-1, 8);
  filter.set(address.bytes, 12);
  const writer = new NetlinkWriter(128);
  writer
    .begin(MESSAGE.byFamily, NLM_F.request | NLM_F.dump)
    .raw(request)
    .bytes(REQ_BYTECODE, filter);
  return writer.finish();
}

/** Throws FIREWALL_FLOWS for an answer that is no socket. */
export function readSocket({ type, payload }: NetlinkMessage): TcpSocket {
  const family = payload[0] === families[4] ? 4 : payload[0] === families[6] ? 6 : undefined;
  if (type !== MESSAGE.byFamily || payload.length < ANSWER_BYTES || family === undefined) {
    const what = `message type ${type} of ${payload.length} bytes`;
    throw firewallErrors.error('FIREWALL_FLOWS', `the kernel answered with something else than a socket: ${what}`);
  }
  const id = payload.subarray(ANSWER_ID_AT, ANSWER_ID_AT + ID_BYTES);
  return {
    family,
    remote: id.subarray(20, family === 4 ? 24 : 36),
    localPort: id.readUInt16BE(0),
    remotePort: id.readUInt16BE(2),
    id,
  };
}

/** Adds the order to destroy exactly this socket. */
export function addSocketDestruction(writer: NetlinkWriter, socket: TcpSocket): void {
  const request = Buffer.alloc(REQUEST_BYTES);
  request[0] = families[socket.family];
  request[1] = IPPROTO_TCP;
  request.writeUInt32LE(STATES, 4);
  request.set(socket.id, REQUEST_ID_AT);
  writer.begin(MESSAGE.destroy, NLM_F.request).raw(request);
}
