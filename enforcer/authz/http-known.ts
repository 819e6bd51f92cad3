// What a request point surely knows of a request beside method and path, where the policy asks for it (bounds of HTTP
// operations, policy/bundle/http-bounds.ts). What it does not know stays away, and opens nothing.
import type { HttpReads } from '../../policy/bundle/index.ts';
import type { Operation } from '../../policy/engine/index.ts';

export type HttpKnown = Pick<Extract<Operation, { protocol: 'http' }>, 'host' | 'headers' | 'bodyBytes'>;

/**
 * `lines`: names and values in turn, at least those of `reads` and of what ends the message. `framed`: content-length among
 * them is that of the client's request, and whoever asks keeps to it; a request to us may have one of its own.
 */
export function knownOf(host: string, lines: readonly string[], framed: boolean, reads: HttpReads): HttpKnown {
  const headers = headersOf(lines, reads);
  const bodyBytes = framed ? bodyBytesOf(lines) : undefined;
  return {
    ...(host === '' ? {} : { host }),
    ...(reads.headers.size === 0 ? {} : { headers }),
    ...(bodyBytes === undefined ? {} : { bodyBytes }),
  };
}

/** Some servers make one of `X-Line`, `X_Line` and `X.Line` (RFC 3875, 4.1.18): here they are lines of one header. */
export const headerFamily = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-');

function headersOf(lines: readonly string[], { headers: wanted }: HttpReads): Record<string, string[]> {
  const found = Object.create(null) as Record<string, string[]>;
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const name = headerFamily(lines[at] ?? '');
    if (wanted.has(name)) (found[name] ??= []).push(lines[at + 1] ?? '');
  }
  return found;
}

/** Of the one content-length without transfer-encoding (RFC 9112, 6.3). Without one a request may still have a body in HTTP/2. */
function bodyBytesOf(lines: readonly string[]): number | undefined {
  const valuesOf = (wanted: string): string[] =>
    lines.filter((_, at) => at % 2 === 1 && lines[at - 1]?.toLowerCase() === wanted);
  const [length = '', ...more] = valuesOf('content-length');
  if (more.length > 0 || valuesOf('transfer-encoding').length > 0 || !/^(?:0|[1-9][0-9]{0,15})$/.test(length))
    return undefined;
  return Number.isSafeInteger(Number(length)) ? Number(length) : undefined;
}
