// gRPC by hand over HTTP/2: sends any bytes as a message and reads how the call ended. Shares no transport code with the
// programs under test.
import { fromBinary } from '@bufbuild/protobuf';
import { connect } from 'node:http2';
import type { SecureContextOptions } from 'node:tls';
import { ErrorDetailSchema } from '../../proto/gen/edgeward/errors/v1/errors_pb.ts';

export interface Ending {
  /** Number of the gRPC status; 13 when there was none. */
  readonly status: number;
  /** Code of our error detail; empty without one. */
  readonly code: string;
  readonly remedy: string;
}

export interface Where {
  /** `host:port` */
  readonly address: string;
  readonly tls: SecureContextOptions;
}

/** One call of `/package.Service/Method` with these messages, each as its own frame. */
export function rawCall({ address, tls }: Where, path: string, messages: readonly Uint8Array[]): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const session = connect(`https://${address}`, {
      ...tls,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    session.once('error', reject);
    const call = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let ending: Ending | undefined;
    const read = (headers: Record<string, unknown>): void => {
      if (headers['grpc-status'] === undefined) return;
      const encoded = headers['edgeward-error-bin'];
      const detail = Buffer.from(typeof encoded === 'string' ? encoded : '', 'base64');
      const { code, remedy } = fromBinary(ErrorDetailSchema, detail);
      ending = { status: Number(headers['grpc-status']), code, remedy };
    };
    call.on('response', read);
    call.on('trailers', read);
    call.on('data', () => undefined);
    call.on('error', () => undefined);
    call.once('close', () => {
      session.destroy();
      resolve(ending ?? { status: 13, code: '', remedy: '' });
    });
    for (const message of messages) {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.length, 1);
      call.write(Buffer.concat([head, message]));
    }
    call.end();
  });
}
