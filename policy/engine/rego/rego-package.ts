// A Rego package of the policy repository, compiled to WebAssembly by opa at build time. It narrows: what it does not
// surely allow is denied, and nothing it does can throw, hang or grow beyond its bounds.
import { createHash } from 'node:crypto';
import { CodedError } from '../../../runtime/errors.ts';
import type { Obligation } from '../../bundle/conditions.ts';
import { engineErrors, placeOf, type EngineErrorCode } from '../errors.ts';
import { MAX_REGO_INPUT_BYTES, MAX_REGO_PACKAGES } from '../limits.ts';
import { readDecision } from './decision.ts';
import { compileOpaModule, describe, FuelExhausted, type OpaInstance } from './opa-module.ts';

export interface RegoSource {
  /** Name of the package and of its folder, e.g. `hours`; its rule `decision` is asked. */
  readonly name: string;
  readonly wasm: Uint8Array;
  /** JSON of an object: the base documents, with data.json of the folder below the package's name. */
  readonly data: string;
  /** `file:line` of its rule `decision`. */
  readonly place: string;
}

/** Only `allow: true` allows, with what the package asks for; `why` says in words what else it was. */
export type RegoVerdict =
  | { readonly allow: true; readonly obligations: readonly Obligation[] }
  | { readonly allow: false; readonly kind: 'denied' | 'undefined' | 'malformed' | 'fault'; readonly why: string };

export interface RegoPackage {
  /** Never throws. `input` is an object that JSON can carry (input-document.ts). */
  readonly decide: (input: object) => RegoVerdict;
  /** Instructions that the last question paid for, of MAX_REGO_FUEL; the same on every machine. */
  readonly fuelUsed: () => number;
}

/** Packages started last, by their content: in the cloud the same one is in the slice of every device that serves its interface. */
const started = new Map<string, RegoPackage>();

/**
 * The same source gives the same package again: a question leaves nothing behind in it. Throws ENGINE_REGO_MODULE or
 * ENGINE_REGO_DATA, with place, for what cannot be run.
 */
export function compileRego(source: RegoSource): RegoPackage {
  const key = keyOf(source);
  const known = started.get(key);
  if (known !== undefined) return known;
  const compiled = startWithPlace(source);
  const [oldest] = started.keys();
  if (oldest !== undefined && started.size >= MAX_REGO_PACKAGES) started.delete(oldest);
  started.set(key, compiled);
  return compiled;
}

function keyOf({ name, wasm, data, place }: RegoSource): string {
  return createHash('sha256')
    .update(JSON.stringify([name, place, data]))
    .update(wasm)
    .digest('base64');
}

function startWithPlace(source: RegoSource): RegoPackage {
  try {
    return start(source);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const message = `Rego package ${source.name}: ${error.message}`;
    throw engineErrors.error(error.code as EngineErrorCode, message, { place: placeOf(source.place), cause: error });
  }
}

function start({ name, wasm, data }: RegoSource): RegoPackage {
  if (hasNul(data)) throw engineErrors.error('ENGINE_REGO_DATA', 'data.json: a text with U+0000');
  const module = compileOpaModule(wasm);
  // Made at once, so that a package which cannot start is refused when the bundle is compiled.
  let instance: OpaInstance | undefined = module.instantiate(data);
  let fuelUsed = 0;

  const evaluate = (input: string): unknown => {
    const used = instance ?? module.instantiate(data);
    // Gone unless the evaluation returns: a module that trapped left its memory in no known state.
    instance = undefined;
    const result = used.evaluate(`${name}/decision`, input);
    instance = used;
    fuelUsed = used.fuelUsed();
    return result;
  };

  return {
    decide(input) {
      try {
        const text = JSON.stringify(input);
        if (Buffer.byteLength(text) > MAX_REGO_INPUT_BYTES) {
          return fault(`the input document has more than ${MAX_REGO_INPUT_BYTES} bytes`);
        }
        if (hasNul(text)) return fault('the input document has a text with U+0000');
        return readDecision(evaluate(text));
      } catch (error) {
        return fault(error instanceof FuelExhausted ? error.message : describe(error));
      }
    },
    fuelUsed: () => fuelUsed,
  };
}

/** The compiled library ends some texts at U+0000: a pattern would match what it does not match in opa. */
function hasNul(json: string): boolean {
  return json.includes(String.raw`\u0000`) && /(?<!\\)(?:\\\\)*\\u0000/.test(json);
}

function fault(why: string): RegoVerdict {
  return { allow: false, kind: 'fault', why };
}
