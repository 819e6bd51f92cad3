// The control plane's end of the one stream.
export { createStreamServer, reconnectSpreadMs, type StreamServer, type StreamServerOptions } from './stream-server.ts';
export type {
  Acknowledgement,
  ChallengePlan,
  ConnectedDevice,
  Refusal,
  ResourceSource,
  SourcedResource,
  StreamPorts,
  StreamRecord,
} from './types.ts';
