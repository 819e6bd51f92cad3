// What the proxy itself answers on HTTP/1.1. It says that it was refused and not why: the reason is in the event.

const text: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
};

/** @param method of the request; the answer to HEAD has no body (RFC 9110, 9.3.2). */
export function answerOf(status: 400 | 403, { method = '', close }: { method?: string; close: boolean }): Buffer {
  const body = status === 403 ? 'denied by policy\n' : 'not a request that has one reading\n';
  const lines = [
    `HTTP/1.1 ${status} ${text[status]}`,
    'content-type: text/plain',
    `content-length: ${body.length}`,
    'cache-control: no-store',
    ...(close ? ['connection: close'] : []),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${method === 'HEAD' ? '' : body}`, 'latin1');
}
