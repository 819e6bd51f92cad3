// Clients that ask as fast as they hear, over HTTP/2 with a certificate; h2load has none to show. Every path is another one.
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { join } from 'node:path';
import type { Client, Plant } from './plant.ts';

export interface Load extends AsyncDisposable {
  /** Answers so far by HTTP status; 0 for a stream that ended without. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Ends it and resolves when the last answer is there. */
  readonly stop: () => Promise<void>;
}

export interface KeptConnection {
  /** HTTP status of the answer; 0 for a stream that ended without. `cancelled`: the client goes away before the answer. */
  readonly request: (path: string, cancelled?: boolean) => Promise<number>;
  readonly close: () => void;
}

/** One HTTP/2 connection, made anew only when it has ended. */
export function keptConnection({ folder, port }: Plant, client: Client = 'gateway-1'): KeptConnection {
  const identity = {
    cert: readFileSync(join(folder, `${client}.pem`)),
    key: readFileSync(join(folder, `${client}.key`)),
  };
  let session: ClientHttp2Session | undefined;
  const connected = (): ClientHttp2Session => {
    if (session !== undefined && !session.closed && !session.destroyed) return session;
    session = connect(`https://127.0.0.1:${port}`, { ...identity, rejectUnauthorized: false });
    session.on('error', () => undefined);
    return session;
  };
  return {
    request: async (path, cancelled = false) =>
      await new Promise((resolve) => {
        const stream = connected().request({ ':path': path });
        let status = 0;
        stream.on('response', (headers) => (status = headers[':status'] ?? 0));
        stream.on('error', () => undefined);
        stream.on('close', () => resolve(status));
        stream.resume();
        if (cancelled) setImmediate(() => stream.close(8));
      }),
    close: () => session?.destroy(),
  };
}

/** Half of the questions are about what nobody is granted (`/admin/…`), the others about `/status/…`. */
export function startLoad(plant: Plant, streams = 32, client: Client = 'gateway-1'): Load {
  const statuses = new Map<number, number>();
  const { request, close } = keptConnection(plant, client);
  const stopping = new AbortController();
  let count = 0;
  const askOn = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const path = count++ % 2 === 0 ? `/status/${count}` : `/admin/${count}`;
      const status = await request(path);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  const all = Promise.all(Array.from({ length: streams }, askOn));
  const stop = async (): Promise<void> => {
    stopping.abort();
    await all;
    close();
  };
  return { statuses, stop, [Symbol.asyncDispose]: stop };
}
