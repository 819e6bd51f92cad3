// Ends flows in this process, by netlink: lists what the peer has open and orders its end entry by entry. Long lists are
// worked off in slices, so that an order for somebody else waits for one slice and not for the list.
import { setImmediate as turn } from 'node:timers/promises';
import { systemClock } from '../../../runtime/clock.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { errnoName, linuxErrors } from '../../../runtime/linux.ts';
import { exchange, openNetlink } from '../../../runtime/linux-netlink.ts';
import type { NetlinkSocket } from '../../../runtime/linux-netlink.ts';
import {
  NETLINK,
  netlinkMessages,
  NetlinkWriter,
  NLM_F,
  NLMSG,
  outcomeOf,
} from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkMessage, NetlinkRequest } from '../../../runtime/linux-netlink-wire.ts';
import { addFlowDeletion, listFlows, readFlow } from './conntrack.ts';
import type { EndFlows, FlowTarget } from './end-flows.ts';
import { flowAddress, isSameAddress } from './flow-address.ts';
import type { FlowAddress } from './flow-address.ts';
import { ENDED_PER_CALL, MAX_LIST_DATAGRAMS, SLICE_MS } from './limits.ts';
import { addSocketDestruction, listSockets, readSocket, socketFamilies } from './sock-diag.ts';

type Socket = Pick<NetlinkSocket, 'send' | 'read' | 'close'>;
/** Opens a netlink socket of a protocol; tests give their own. */
export type OpenSocket = (protocol: number) => Socket;

/** `namespace`: path of another network namespace than the process's own, e.g. `/run/netns/plc`. */
export function netlinkFlows(
  namespace?: string,
  open: OpenSocket = (protocol) => openNetlink(protocol, namespace === undefined ? {} : { namespace }),
  clock: Pick<Clock, 'monotonic'> = systemClock,
): EndFlows {
  return async (target) => {
    const pause = pauses(clock);
    const addresses = target.addresses.map(({ text }) => flowAddress(text));
    // Sockets first: the reset of a flow whose addresses are translated needs its entry to find the peer.
    const sockets = await endListed(
      () => open(NETLINK.sockDiag),
      addresses.flatMap((address) => socketsOf(address, target)),
      pause,
    );
    const flows = await endListed(
      () => open(NETLINK.netfilter),
      addresses.flatMap((address) => flowsOf(address, target)),
      pause,
    );
    return { sockets: sockets.ended, flows: flows.ended, failures: [...sockets.failures, ...flows.failures] };
  };
}

type Pause = () => Promise<void>;

/** Lets others run once a slice of work is over. */
function pauses({ monotonic }: Pick<Clock, 'monotonic'>): Pause {
  let began = monotonic();
  return async () => {
    if (monotonic() - began < SLICE_MS) return;
    await turn();
    began = monotonic();
  };
}

/** A question, and what of the answers is to end: `add` writes the order, or nothing and false. */
interface Listing {
  readonly question: () => NetlinkRequest;
  readonly add: (writer: NetlinkWriter, message: NetlinkMessage) => boolean;
}

function socketsOf(address: FlowAddress, { sparedPorts }: FlowTarget): Listing[] {
  return socketFamilies(address).map((family) => ({
    question: () => listSockets(address, family),
    add: (writer, message) => {
      const socket = readSocket(message);
      if (!isSameAddress(address, socket.remote)) return false;
      if (sparedPorts.includes(socket.localPort) || sparedPorts.includes(socket.remotePort)) return false;
      addSocketDestruction(writer, socket);
      return true;
    },
  }));
}

function flowsOf(address: FlowAddress, { sparedPorts }: FlowTarget): Listing[] {
  return listFlows(address).map((question) => ({
    question,
    add: (writer, message) => {
      const flow = readFlow(message);
      const concerned =
        flow.family === address.family && Object.values(flow.source).some((it) => isSameAddress(address, it));
      if (!concerned || (flow.servicePort !== undefined && sparedPorts.includes(flow.servicePort))) return false;
      addFlowDeletion(writer, flow);
      return true;
    },
  }));
}

interface Ended {
  readonly ended: number;
  readonly failures: readonly string[];
}

/** Everything of all lists. What goes wrong is a failure with its code; what was ended before counts. */
async function endListed(open: () => Socket, listings: readonly Listing[], pause: Pause): Promise<Ended> {
  let ended = 0;
  const failures = new Set<string>();
  let socket: Socket | undefined;
  try {
    socket = open();
    for (const listing of listings) {
      for (const orders of await ordersFor(socket, listing, pause)) {
        const refused = exchange(socket, orders.request);
        ended += orders.count - refused.length;
        // Over by itself meanwhile, or another by now over the same ports: what we were after has ended.
        const faults = refused.filter(({ errno }) => errno !== 'ENOENT' && errno !== 'ESTALE');
        for (const { errno, reason } of faults) failures.add(`${errno} ${reason ?? ''}`.trim());
        await pause();
      }
    }
  } catch (error) {
    failures.add(error instanceof Error ? error.message : String(error));
  } finally {
    socket?.close();
  }
  return { ended, failures: [...failures] };
}

interface Orders {
  readonly request: NetlinkRequest;
  readonly count: number;
}

/** Reads a whole list; the orders come in pieces that the kernel carries out in one call each. */
async function ordersFor(socket: Socket, { question, add }: Listing, pause: Pause): Promise<Orders[]> {
  const orders: Orders[] = [];
  let writer = new NetlinkWriter();
  let count = 0;
  const close = (): void => {
    if (count === 0) return;
    // Orders answer only when they are refused; the answer to this one says that all were carried out.
    writer.begin(NLMSG.noop, NLM_F.request | NLM_F.ack);
    orders.push({ request: writer.finish(), count });
    writer = new NetlinkWriter();
    count = 0;
  };
  await dump(socket, question(), pause, (message) => {
    if (!add(writer, message)) return;
    count += 1;
    if (count === ENDED_PER_CALL) close();
  });
  close();
  return orders;
}

/** As `exchange`, but lets others run between datagrams. The kernel goes on with a list inside `read`: nothing waits. */
async function dump(
  socket: Socket,
  request: NetlinkRequest,
  pause: Pause,
  take: (message: NetlinkMessage) => void,
): Promise<void> {
  socket.send(request.bytes);
  for (let datagrams = 1; datagrams <= MAX_LIST_DATAGRAMS; datagrams += 1) {
    const read = socket.read();
    if (read.kind === 'overrun') throw linuxErrors.error('LINUX_NETLINK_OVERRUN', 'the kernel dropped part of a list');
    if (read.kind === 'empty') throw linuxErrors.error('LINUX_NETLINK_NO_ANSWER', 'a list stopped before its end');
    for (const message of netlinkMessages(read.bytes)) {
      if (message.sequence !== request.firstSequence) {
        throw linuxErrors.error('LINUX_NETLINK_MALFORMED', `an answer to request ${message.sequence}, not to ours`);
      }
      if (message.type === NLMSG.done || message.type === NLMSG.error) return finish(message);
      if (message.type !== NLMSG.noop) take(message);
    }
    await pause();
  }
  throw linuxErrors.error('LINUX_NETLINK_MALFORMED', 'a list without end');
}

function finish(message: NetlinkMessage): void {
  const { errno, reason } = outcomeOf(message);
  if (errno === 0) return;
  throw linuxErrors.error('LINUX_CALL', `list of flows: ${errnoName(errno)} ${reason ?? ''}`.trim());
}
