// Structured log lines on standard error (pino). Secrets never reach a line: fields are redacted by name, texts by shape.
import { destination as fileDestination, pino, type DestinationStream } from 'pino';
import { CodedError } from './errors.ts';
import { maxLogDepth } from './limits.ts';

export type LogFields = Record<string, unknown>;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

interface LogMethod {
  (message: string): void;
  (fields: LogFields, message: string): void;
}

export interface Logger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  readonly name: string;
  readonly level?: LogLevel;
  /** Default: standard error, written synchronously so that the last line before a crash is there. */
  readonly destination?: DestinationStream;
}

const secretName =
  /(secret|passphrase|password|authorization|cookie|join_?line|private_?key)s?$|^(token|key|keys|pem|key_?pem|csr_?key)$/i;
const secretShape =
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)|\bew1\.[\w-]{8,}/g;
const secretUrl = /\b([a-z][a-z0-9+]*:\/\/[^\s:/@]*):[^\s@/]+@/g;

export function createLogger(options: LoggerOptions): Logger {
  const logger = pino(
    {
      name: options.name,
      level: options.level ?? 'info',
      base: { name: options.name, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Errors are described below, without what must not be written.
      serializers: { err: (described: unknown) => described },
    },
    options.destination ?? fileDestination({ fd: 2, sync: true }),
  );
  return wrap(logger);
}

interface Sink {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: LogFields): Sink;
  isLevelEnabled(level: string): boolean;
}

function wrap(sink: Sink): Logger {
  const method =
    (level: 'debug' | 'info' | 'warn' | 'error'): LogMethod =>
    (first: LogFields | string, message?: string) => {
      if (!sink.isLevelEnabled(level)) return;
      if (typeof first === 'string') sink[level]({}, redactText(first));
      else sink[level](redact(first) as object, redactText(message ?? ''));
    };
  return {
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    child: (fields) => wrap(sink.child(redact(fields) as LogFields)),
  };
}

/** A copy of `value` that may be written down. */
export function redact(value: unknown, depth: number = maxLogDepth): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Error) return describeError(value, depth);
  if (depth === 0) return '…';
  if (Array.isArray(value)) return value.map((item) => redact(item, depth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, secretName.test(name) ? '[redacted]' : redact(item, depth - 1)]),
  );
}

export function redactText(text: string): string {
  return text.replace(secretShape, '[redacted]').replace(secretUrl, '$1:[redacted]@');
}

function describeError(error: Error, depth: number): LogFields {
  return {
    type: error.name,
    message: redactText(error.message),
    ...(error instanceof CodedError ? { code: error.code, remedy: error.remedy, place: error.place } : {}),
    ...('code' in error && !(error instanceof CodedError) ? { code: error.code } : {}),
    stack: redactText(error.stack ?? ''),
    ...(error.cause === undefined || depth === 0 ? {} : { cause: redact(error.cause, depth - 1) }),
  };
}
