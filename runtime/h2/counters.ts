// What the server counts for the metrics of its process.

export interface Counters {
  connectionsOpened: number;
  connectionsOpen: number;
  /** Requests with a well-formed head. */
  streamsOpened: number;
  streamsOpen: number;
  /** Bytes of messages that are not complete, of all connections. */
  bytesHeld: number;
  /** Calls whose request came and whose answer left, whatever its status. */
  callsAnswered: number;
  resetsReceived: number;
  resetsSent: number;
  /** REFUSED_STREAM: more calls at a time than a connection may have. */
  streamsRefused: number;
  /** Connections ended because a budget was used up (ENHANCE_YOUR_CALM). */
  floodsRefused: number;
  /** Connections ended because of another breach of the protocol. */
  connectionsFailed: number;
  /** Connections and streams ended because the peer took too long. */
  timeouts: number;
}

export const newCounters = (): Counters => ({
  connectionsOpened: 0,
  connectionsOpen: 0,
  streamsOpened: 0,
  streamsOpen: 0,
  bytesHeld: 0,
  callsAnswered: 0,
  resetsReceived: 0,
  resetsSent: 0,
  streamsRefused: 0,
  floodsRefused: 0,
  connectionsFailed: 0,
  timeouts: 0,
});
