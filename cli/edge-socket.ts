// One POST to a socket of the edge on this host, and its answer.
import { request as httpRequest } from 'node:http';
import { CodedError } from '../runtime/errors.ts';
import { cliErrors } from './errors.ts';

interface Answer {
  readonly ok: boolean;
  readonly error?: { readonly code?: string; readonly message?: string; readonly remedy?: string };
}

/** Throws what the edge refused with, and CLI_EDGE_UNREACHABLE when none answers; `what` says what it would have taken. */
export async function postToEdge<T>(socketPath: string, path: string, body: string | Buffer, what: string): Promise<T> {
  const answer = await post(socketPath, path, body, what);
  if (answer.ok) return answer as T;
  const { code = 'CLI_CHECK_FAILED', message = 'refused', remedy = '' } = answer.error ?? {};
  throw new CodedError(code, { status: 'PERMISSION_DENIED', remedy }, message);
}

async function post(socketPath: string, path: string, body: string | Buffer, what: string): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const unreachable = (cause: unknown): void =>
      reject(cliErrors.error('CLI_EDGE_UNREACHABLE', `no edge takes ${what} at ${socketPath}`, { cause }));
    const request = httpRequest({ socketPath, method: 'POST', path, timeout: 10_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', unreachable);
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Answer);
        } catch (cause) {
          unreachable(cause);
        }
      });
    });
    request.on('error', unreachable);
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.end(body);
  });
}
