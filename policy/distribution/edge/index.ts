// The edge's end of the one stream.
export { createStreamClient, type StreamClient, type StreamClientOptions, type StreamStatus } from './stream-client.ts';
export type {
  FetchChunks,
  InForce,
  ReceivedResource,
  Renewal,
  ResourceHandler,
  StreamConnection,
  StreamHandlers,
} from './types.ts';
