// HTTP through the frame: version 1.1 as two lanes of bytes, version 2 and gRPC with it stream by stream. Which of them is
// spoken is seen from the first bytes.
import { serve } from '../connection.ts';
import type { Protocol } from '../protocol.ts';
import { openHttp1 } from './exchange.ts';
import { serveByFirstBytes } from './first-bytes.ts';
import { serveHttp2 } from './h2/connection.ts';
import { recordHttp } from './operation.ts';

export function httpProtocol(): Protocol {
  // Whoever speaks both gets what servers without TLS speak; gRPC offers h2 alone.
  const http1: Protocol = { name: 'http', alpn: ['http/1.1', 'h2'], kind: 'http', open: openHttp1, record: recordHttp };
  return {
    ...http1,
    serve: (client, ports) =>
      serveByFirstBytes(client, ports, {
        http1: (socket, own) => serve(socket, http1, own),
        http2: serveHttp2,
      }),
  };
}
