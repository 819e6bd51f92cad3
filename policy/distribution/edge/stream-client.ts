// The edge's end of the one stream: dials, keeps two streams open on one connection, and comes back after every loss.
import { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/log.ts';
import type { Task } from '../../../runtime/tasks.ts';
import { asCodedError } from '../error-detail.ts';
import { MIN_RECONNECT_SPREAD_MS } from '../limits.ts';
import { type Lane as LaneName, resourceTypes } from '../resource-types.ts';
import { type ConnectionEnd, holdConnection, sleepUnlessAborted } from './connection.ts';
import { createInbox } from './inbox.ts';
import type { LaneContext } from './lane.ts';
import { reconnectDelayMs } from './reconnect.ts';
import type { StreamConnection, StreamHandlers } from './types.ts';

export interface StreamClientOptions {
  /** Opens a connection with the identity of the moment; called anew after every loss and after a renewal. */
  readonly dial: () => StreamConnection | Promise<StreamConnection>;
  readonly clock: Clock;
  /** Number in [0, 1), for jitter. */
  readonly random: () => number;
  readonly handlers: StreamHandlers;
  readonly agentVersion: string;
  readonly log: Logger;
}

export interface StreamStatus {
  /** The control plane has welcomed the connection, and it is not known to be lost. */
  readonly connected: boolean;
  /** Milliseconds since the epoch (local clock) of the last message; undefined for never in this process. */
  readonly lastContact: number | undefined;
  readonly serverVersion: string;
  /** Code and text of the last loss; undefined while connected. */
  readonly lastError: { readonly code: string; readonly message: string } | undefined;
}

export interface StreamClient {
  /** Runs until the signal aborts; a loss is not a failure. */
  readonly run: Task;
  status(): StreamStatus;
}

interface ClientState {
  connected: boolean;
  lastContact: number | undefined;
  serverVersion: string;
  spreadMs: number;
  lastError: StreamStatus['lastError'];
}

export function createStreamClient(options: StreamClientOptions): StreamClient {
  const { clock, random, log } = options;
  const state: ClientState = {
    connected: false,
    lastContact: undefined,
    serverVersion: '',
    spreadMs: MIN_RECONNECT_SPREAD_MS,
    lastError: undefined,
  };
  const lanes = laneContexts(options, state);

  const run: Task = async (signal) => {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const end = await connectOnce(options, state, lanes, signal);
      state.connected = false;
      if (signal.aborted) return;
      if (end.welcomed) attempt = 0;
      if (end.because === 'renewed') {
        log.info('identity renewed; connecting with it');
        continue;
      }
      state.lastError = end.reason === undefined ? undefined : { code: end.reason.code, message: end.reason.message };
      const delayMs = reconnectDelayMs(attempt, state.spreadMs, random);
      log.warn({ err: end.reason, retryInMs: delayMs }, 'no connection to the control plane');
      await sleepUnlessAborted(clock, delayMs, signal);
    }
  };
  return {
    run,
    status: () => ({
      connected: state.connected,
      lastContact: state.lastContact,
      serverVersion: state.serverVersion,
      lastError: state.connected ? undefined : state.lastError,
    }),
  };
}

async function connectOnce(
  options: StreamClientOptions,
  state: ClientState,
  lanes: ReadonlyMap<LaneName, LaneContext>,
  signal: AbortSignal,
): Promise<ConnectionEnd> {
  const { clock, random, log, handlers } = options;
  let connection: StreamConnection;
  try {
    connection = await options.dial();
  } catch (error) {
    return { because: 'lost', reason: asCodedError(error), welcomed: false };
  }
  const context = {
    lane: (name: LaneName) => lanes.get(name),
    renewal: handlers.renewal,
    delayMs: (attempt: number) => reconnectDelayMs(attempt, state.spreadMs, random),
    clock,
    log,
  };
  return holdConnection(connection, context, signal);
}

function laneContexts(options: StreamClientOptions, state: ClientState): ReadonlyMap<LaneName, LaneContext> {
  const { clock, log, handlers, agentVersion } = options;
  const inbox = createInbox(log);
  const types = Object.keys(handlers.resources).map(Number) as ResourceType[];
  if (handlers.time !== undefined) types.push(ResourceType.TIME);
  const contact: LaneContext['contact'] = (welcome) => {
    state.lastContact = clock.now();
    if (welcome === undefined) return;
    state.connected = true;
    state.serverVersion = welcome.serverVersion;
    state.spreadMs = Math.max(welcome.reconnectSpreadMs, MIN_RECONNECT_SPREAD_MS);
  };
  const lanes = new Map<LaneName, LaneContext>();
  for (const name of ['orders', 'bulk'] as const) {
    const mine = new Set(types.filter((type) => resourceTypes.get(type)?.lane === name));
    if (mine.size === 0) continue;
    const laneLog = log.child({ lane: name });
    lanes.set(name, { name, types: mine, handlers, inbox, agentVersion, clock, log: laneLog, contact });
  }
  return lanes;
}
