// An allowed stream and the one that carries it to the server: fields as they were judged, content with back-pressure, interim
// answers, trailers, and the end of either as the end of the other.
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { addAbortSignal } from 'node:stream';
import { maxInterimAnswers } from '../limits.ts';
import { headersOf } from '../operation.ts';

const { NGHTTP2_CANCEL, NGHTTP2_FLAG_END_STREAM, NGHTTP2_NO_ERROR } = constants;

/**
 * Returns what cuts both streams, so that neither side takes what it has for the whole.
 * @param mayHold whether the content may be as long as this, asked with each piece before it goes on.
 */
export function forwardStream(
  stream: ServerHttp2Stream,
  fields: readonly string[],
  isWhole: boolean,
  session: ClientHttp2Session,
  mayHold: MayHold,
): () => void {
  const request = session.request(fields, { endStream: isWhole });
  request.on('error', () => undefined);
  const cancelRequest = cancelling(request);
  const cancelStream = cancelling(stream);
  const cut = (): void => {
    cancelRequest();
    cancelStream();
  };
  if (isWhole) stream.resume();
  else sendContent(stream, request, cut, mayHold);
  passAnswer(stream, request);
  // Also the client's deadline, its cancellation, and the end of its connection.
  stream.once('close', cancelRequest);
  return cut;
}

/** A promise where the answer waits for the disk. */
export type MayHold = (octets: number) => boolean | Promise<boolean>;

/**
 * Ends a stream with RST_STREAM and CANCEL. `close` of Node ends the content first, with END_STREAM, and the peer would take
 * what it has for the whole; destroyed by an abort it does not.
 */
function cancelling(stream: ClientHttp2Stream | ServerHttp2Stream): () => void {
  const abort = new AbortController();
  addAbortSignal(abort.signal, stream);
  return () => abort.abort();
}

function sendContent(stream: ServerHttp2Stream, request: ClientHttp2Stream, cut: () => void, mayHold: MayHold): void {
  let content = 0;
  let held: Promise<void> | undefined;
  const isOpen = (): boolean => !request.destroyed && !request.closed;
  const pass = (chunk: Buffer, may: boolean): void => {
    if (!may) cut();
    else if (isOpen() && !request.write(chunk)) stream.pause();
    else stream.resume();
  };
  const end = (): void => {
    // The end of a stream that was reset is not the end of its content.
    if (stream.closed) cut();
    else if (isOpen()) request.end();
  };
  stream.on('data', (chunk: Buffer) => {
    content += chunk.length;
    const may = mayHold(content);
    if (typeof may === 'boolean') {
      pass(chunk, may);
      return;
    }
    stream.pause();
    held = may.then((answer) => {
      held = undefined;
      pass(chunk, answer);
    }, cut);
  });
  request.on('drain', () => {
    if (held === undefined) stream.resume();
  });
  // What is judged is the head; nobody has judged these.
  stream.on('trailers', cut);
  stream.on('end', () => {
    if (held === undefined) end();
    else void held.then(end);
  });
}

function passAnswer(stream: ServerHttp2Stream, request: ClientHttp2Stream): void {
  let trailers: readonly string[] = [];
  /** The server has said all; and the client has been told. */
  let isEnded = false;
  let isTold = false;
  /** What Node will not send on (a switch of protocols, a field of one connection) ends both streams. */
  const passOn = (pass: () => void): void => {
    try {
      pass();
    } catch {
      request.destroy();
      endWith(stream, NGHTTP2_CANCEL);
    }
  };
  let interims = 0;
  const interim = (headers: OutgoingHttpHeaders): void => {
    if (stream.closed || stream.headersSent) return;
    passOn(() => {
      if (++interims > maxInterimAnswers) throw new Error('interim answers without end');
      stream.additionalHeaders(headers);
    });
  };
  /** The server has answered without waiting for all that the client wants to say (RFC 9113, 8.1). */
  const endEarly = (): void => {
    if (!isTold || !request.closed || stream.readableEnded) return;
    // Not at once: the end of the answer is on its way, and a reset would overtake it.
    setImmediate(() => {
      if (!stream.closed) stream.close(NGHTTP2_NO_ERROR);
    });
  };
  request.on('continue', () => interim({ ':status': 100 }));
  request.on('headers', (headers) => interim(headers));
  request.on('response', (_, flags, fields) => {
    if (stream.closed || stream.headersSent) return;
    const endStream = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
    // The answer is the server's, its date too.
    const options = { endStream, waitForTrailers: !endStream, sendDate: false };
    passOn(() => stream.respond(fields, options));
    isEnded = endStream;
    isTold = endStream;
  });
  request.on('trailers', (_, __, fields) => (trailers = fields));
  request.on('data', (chunk: Buffer) => {
    if (!stream.closed && !stream.destroyed && !stream.write(chunk)) request.pause();
  });
  stream.on('drain', () => request.resume());
  stream.on('wantTrailers', () => {
    passOn(() => stream.sendTrailers(headersOf(trailers) as OutgoingHttpHeaders));
    isTold = true;
    endEarly();
  });
  request.on('end', () => {
    if (stream.closed || request.rstCode !== NGHTTP2_NO_ERROR) return;
    isEnded = true;
    if (!stream.writableEnded) stream.end();
  });
  request.on('close', () => {
    if (stream.closed) return;
    if (isEnded && request.rstCode === NGHTTP2_NO_ERROR) endEarly();
    else endWith(stream, request.rstCode);
  });
}

/** As the server ended its stream; a code can be passed on as long as nothing else was, and is CANCEL behind a beginning. */
function endWith(stream: ServerHttp2Stream, code: number): void {
  if (stream.headersSent) cancelling(stream)();
  else stream.close(code === NGHTTP2_NO_ERROR ? NGHTTP2_CANCEL : code);
}
