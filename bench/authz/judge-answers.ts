// Judges what came back: every answer is compared, in full, with what the request had to be answered. Bytes that were
// decoded and found right for a request are right for it again; others are decoded.
import { fromBinary } from '@bufbuild/protobuf';
import { type CheckResponse, CheckResponseSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import type { HeaderValueOption } from '../../proto/gen/envoy/config/core/v3/base_pb.ts';
import type { Expected } from './corpus-file.ts';
import type { Reply } from './h2-client.ts';
import type { Blocks } from './header-blocks.ts';
import { messageOf } from './h2-frames.ts';

/** `late`: the server ended the call with a status and no message, which has to be DEADLINE_EXCEEDED (header-blocks.ts). */
export type Verdict = 'right' | 'wrong allow' | 'wrong deny' | 'wrong identity' | 'late' | 'no answer';

/** As Envoy reads it: only a status of code 0, or none, is an allow. */
export const isAllow = ({ status }: CheckResponse): boolean => (status?.code ?? 0) === 0;

/** Distinct header blocks that are kept to be looked at; a server sends a handful, or one a second with a date. */
const MAX_BLOCKS = 10_000;

export class AnswerJudge {
  readonly #expected: readonly Expected[];
  readonly #accepted: (Uint8Array | undefined)[];
  readonly #blocks = { headers: new Set<string>(), trailers: new Set<string>(), late: new Set<string>() };

  constructor(expected: readonly Expected[]) {
    this.#expected = expected;
    this.#accepted = expected.map(() => undefined);
  }

  judge(index: number, { headers, trailers, data, reset }: Reply): Verdict {
    if (reset !== undefined || headers === '') return 'no answer';
    if (trailers === '' && data.length === 0) {
      this.#blocks.late.add(headers);
      return 'late';
    }
    if (trailers === '' || !this.#keep(headers, trailers)) return 'no answer';
    const known = this.#accepted[index];
    if (known !== undefined && Buffer.compare(known, data) === 0) return 'right';
    const verdict = verdictOf(data, this.#expected[index]);
    if (verdict === 'right') this.#accepted[index] = Uint8Array.from(data);
    return verdict;
  }

  /** Header blocks seen so far, latin1: nobody has read them yet (header-blocks.ts). */
  blocks(): Blocks {
    const { headers, trailers, late } = this.#blocks;
    return { headers: [...headers], trailers: [...trailers], late: [...late] };
  }

  #keep(headers: string, trailers: string): boolean {
    this.#blocks.headers.add(headers);
    this.#blocks.trailers.add(trailers);
    return this.#blocks.headers.size <= MAX_BLOCKS && this.#blocks.trailers.size <= MAX_BLOCKS;
  }
}

function verdictOf(data: Uint8Array, expected: Expected | undefined): Verdict {
  const message = messageOf(data);
  if (message === undefined || expected === undefined) return 'no answer';
  let response: CheckResponse;
  try {
    response = fromBinary(CheckResponseSchema, message);
  } catch {
    return 'no answer';
  }
  const allow = isAllow(response);
  if (allow !== expected.allow) return allow ? 'wrong allow' : 'wrong deny';
  return saysWho(response, expected) ? 'right' : 'wrong identity';
}

/** The identity headers, each once and overwriting; in an allow as in a denial. */
function saysWho({ httpResponse }: CheckResponse, { allow, subject, rule }: Expected): boolean {
  if (httpResponse.case !== (allow ? 'okResponse' : 'deniedResponse')) return false;
  const { headers } = httpResponse.value;
  return (
    sets(headers, 'x-edgeward-subject', subject) &&
    sets(headers, 'x-edgeward-decision', allow ? 'allow' : 'deny') &&
    sets(headers, 'x-edgeward-rule', rule)
  );
}

function sets(headers: readonly HeaderValueOption[], name: string, value: string): boolean {
  const found = headers.filter(({ header }) => header?.key === name);
  const [one] = found;
  if (found.length !== 1 || one?.header === undefined) return false;
  const { rawValue } = one.header;
  const text = rawValue.length > 0 ? Buffer.from(rawValue).toString('utf8') : one.header.value;
  return text === value && one.append !== true;
}
