// HTTP/1.1 through the frame: two lanes of bytes.
import { openHttp1 } from './exchange.ts';
import { recordHttp } from './operation.ts';
import type { Protocol } from '../protocol.ts';

export function httpProtocol(): Protocol {
  return { name: 'http', alpn: ['http/1.1'], kind: 'http', open: openHttp1, record: recordHttp };
}
