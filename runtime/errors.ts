// Coded errors: what was wrong, where, and what to do. Every room has one closed table of codes in its `errors.ts`;
// the table says which gRPC status a code becomes and what the reader should do next.
// Denials are values (see policy/engine); these are faults and refusals of input.

/** gRPC canonical status names (google.rpc.Code) that a coded error may become on the wire. */
export type StatusName =
  | 'CANCELLED'
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'UNAUTHENTICATED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'DEADLINE_EXCEEDED';

export interface ErrorSpec {
  readonly status: StatusName;
  /** One sentence that says what to do; starts with a verb. */
  readonly remedy: string;
}

/** A place in a file a person wrote. Lines and columns count from 1. */
export interface Place {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}

export interface ErrorDetails {
  readonly place?: Place;
  readonly cause?: unknown;
  /** Replaces the table's remedy where the exact command is known. */
  readonly remedy?: string;
}

export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: string;
  readonly status: StatusName;
  readonly remedy: string;
  readonly place: Place | undefined;

  constructor(code: string, spec: ErrorSpec, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = spec.status;
    this.remedy = details.remedy ?? spec.remedy;
    this.place = details.place;
  }
}

export interface ErrorTable<Code extends string> {
  readonly codes: Readonly<Record<Code, ErrorSpec>>;
  /** Makes (does not throw) the error of `code`. */
  error(code: Code, message: string, details?: ErrorDetails): CodedError;
}

const declared = new Map<string, ErrorSpec>();

/** Declares a room's closed table of codes. A code belongs to one table; a second declaration is a programming error. */
export function errorTable<const Table extends Record<string, ErrorSpec>>(
  codes: Table,
): ErrorTable<keyof Table & string> {
  for (const [code, spec] of Object.entries(codes)) {
    if (declared.has(code)) throw new Error(`error code ${code} is declared twice`);
    declared.set(code, spec);
  }
  return {
    codes,
    error(code, message, details): CodedError {
      const spec = codes[code];
      if (spec === undefined) throw new Error(`unknown error code ${code}`);
      return new CodedError(code, spec, message, details);
    },
  };
}

/** Every code declared by the modules loaded so far, for documentation and its test. */
export function declaredCodes(): ReadonlyMap<string, ErrorSpec> {
  return declared;
}

/** `file:line:column`, as editors understand it. */
export function formatPlace(place: Place): string {
  return [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
}

/** One line for a terminal or a log: `CODE place: message; remedy`. */
export function formatError(error: unknown): string {
  if (error instanceof CodedError) {
    const place = error.place ? `${formatPlace(error.place)}: ` : '';
    return `${error.code} ${place}${error.message}; ${error.remedy}`;
  }
  return error instanceof Error ? error.message : String(error);
}
