// One compiled Rego package as opa's WebAssembly ABI 1.2 runs it (openpolicyagent.org/docs/wasm), through opa's own
// JavaScript host. Three things are ours: the memory and the steps are bounded (metered-module.ts), the module gets no
// host function that does anything, and no address it returns is followed past the end of its memory.
import { createRequire } from 'node:module';
import type { LoadedPolicy } from '@open-policy-agent/opa-wasm';
import { CodedError } from '../../../runtime/errors.ts';
import { engineErrors } from '../errors.ts';
import { MAX_REGO_MODULE_BYTES } from '../../limits.ts';
import { MAX_REGO_FUEL, MAX_REGO_MEMORY_PAGES, MAX_REGO_RESULT_BYTES } from '../limits.ts';
import { fuelExport, meterModule } from './metered-module.ts';

/** Compiled and checked, without memory yet. */
export interface OpaModule {
  /** A fresh memory with `data` in it. Throws ENGINE_REGO_MODULE or ENGINE_REGO_DATA. */
  readonly instantiate: (data: string) => OpaInstance;
}

export interface OpaInstance {
  /**
   * The result set of the entrypoint for an input document in JSON, which is an object. Throws whatever the module does
   * wrong; afterwards its memory is in no known state and the instance has to be thrown away.
   */
  readonly evaluate: (entrypoint: string, input: string) => unknown;
  /** Instructions that the last evaluation paid for. */
  readonly fuelUsed: () => number;
}

/** Thrown out of an evaluation that ran longer than it may. */
export class FuelExhausted extends Error {
  override readonly name = 'FuelExhausted';
}

/** Throws ENGINE_REGO_MODULE for bytes that opa did not write, or wrote for another kind of host. */
export function compileOpaModule(bytes: Uint8Array): OpaModule {
  if (bytes.length > MAX_REGO_MODULE_BYTES) {
    throw moduleError(`${bytes.length} bytes; at most ${MAX_REGO_MODULE_BYTES}`);
  }
  // As it came: what is wrong before it has a meter is not mended by one.
  checkImports(moduleOf(new Uint8Array(bytes), 'not a valid WebAssembly module'));
  const module = moduleOf(meterModule(bytes, MAX_REGO_FUEL), 'it does not compile with a meter');
  return { instantiate: (data) => instantiate(module, data) };
}

function moduleOf(bytes: Uint8Array<ArrayBuffer>, refusal: string): WebAssembly.Module {
  try {
    return new WebAssembly.Module(bytes);
  } catch (error) {
    throw moduleError(refusal, error);
  }
}

/** Host functions of the ABI. A package built with our capabilities calls none but opa_abort. */
const hostFunctions = [
  'opa_abort',
  'opa_println',
  'opa_builtin0',
  'opa_builtin1',
  'opa_builtin2',
  'opa_builtin3',
  'opa_builtin4',
] as const;

const hostNames: ReadonlySet<string> = new Set(hostFunctions);
/** Characters of what a module says when it gives up: a place and a sentence. */
const MAX_ABORT_LENGTH = 200;

function hostOf(memory: WebAssembly.Memory): Record<string, unknown> {
  const refuse = (): never => {
    throw new Error('a function that the engine does not have');
  };
  const functions = Object.fromEntries<unknown>(hostFunctions.map((name) => [name, refuse]));
  functions['opa_abort'] = (address: unknown): never => {
    checkText(memory, Number(address));
    throw new Error(textAt(memory, Number(address)).slice(0, MAX_ABORT_LENGTH));
  };
  return { memory, ...functions };
}

function checkImports(module: WebAssembly.Module): void {
  const imports = WebAssembly.Module.imports(module);
  for (const { module: from, name, kind } of imports) {
    const known = kind === 'memory' ? name === 'memory' : kind === 'function' && hostNames.has(name);
    if (from !== 'env' || !known) throw moduleError(`imports ${kind} ${from}.${name}, which a Rego package does not`);
  }
  if (imports.filter(({ kind }) => kind === 'memory').length !== 1) throw moduleError('imports no memory');
}

/** What opa's host and we call. */
const exportNames = [
  'opa_eval',
  'opa_malloc',
  'opa_json_parse',
  'opa_json_dump',
  'opa_heap_ptr_get',
  'opa_heap_ptr_set',
  'builtins',
  'entrypoints',
] as const;
type OpaExports = Readonly<Record<(typeof exportNames)[number], (...parameters: number[]) => number>>;
/** Those that answer with the address of a JSON text. */
const textExports: ReadonlySet<string> = new Set(['opa_eval', 'opa_json_dump']);

function instantiate(module: WebAssembly.Module, data: string): OpaInstance {
  const memory = new WebAssembly.Memory({ initial: MAX_REGO_MEMORY_PAGES, maximum: MAX_REGO_MEMORY_PAGES });
  const { exports } = link(module, memory);
  const fuel = exports[fuelExport] as WebAssembly.Global;
  const bounded = boundedExports(exports, memory, fuel);
  const minor = checkAbi(exports);
  const policy = load(bounded, memory, minor, data);
  return {
    evaluate(entrypoint, input) {
      const bytes = Buffer.from(input, 'utf8');
      const { buffer, byteOffset, byteLength } = bytes;
      return policy.evaluate(buffer.slice(byteOffset, byteOffset + byteLength), entrypoint);
    },
    fuelUsed: () => MAX_REGO_FUEL - Number(fuel.value),
  };
}

function link(module: WebAssembly.Module, memory: WebAssembly.Memory): WebAssembly.Instance {
  try {
    return new WebAssembly.Instance(module, { env: hostOf(memory) });
  } catch (error) {
    throw moduleError('it cannot be started in 16 MiB of memory', error);
  }
}

/** Each call starts with a full tank; a text has to end inside the memory and within its limit. */
function boundedExports(
  exports: Readonly<Record<string, unknown>>,
  memory: WebAssembly.Memory,
  fuel: WebAssembly.Global,
): OpaExports {
  return Object.fromEntries(
    exportNames.map((name) => {
      const run = exports[name];
      if (typeof run !== 'function') throw moduleError(`does not export ${name}`);
      const call = (...parameters: number[]): number => {
        fuel.value = MAX_REGO_FUEL;
        let value: unknown;
        try {
          value = run(...parameters);
        } catch (error) {
          if (Number(fuel.value) < 0) throw new FuelExhausted(`more than ${MAX_REGO_FUEL} instructions`);
          throw error;
        }
        const address = Number(value ?? 0);
        if (textExports.has(name)) checkText(memory, address);
        return address;
      };
      return [name, call];
    }),
  ) as unknown as OpaExports;
}

function checkText(memory: WebAssembly.Memory, address: number): void {
  const text = address < 0 ? Buffer.alloc(0) : Buffer.from(memory.buffer, 0).subarray(address);
  if (text.subarray(0, MAX_REGO_RESULT_BYTES).indexOf(0) === -1) {
    throw new Error(`a result that is outside its memory, or longer than ${MAX_REGO_RESULT_BYTES} bytes`);
  }
}

const abi = { major: 1, leastMinor: 2 } as const;

/** The minor version: from 1.2 on, one call evaluates and resets the heap. */
function checkAbi(exports: Readonly<Record<string, unknown>>): number {
  const [major, minor] = ['opa_wasm_abi_version', 'opa_wasm_abi_minor_version'].map((name) => {
    const version = exports[name];
    return version instanceof WebAssembly.Global ? Number(version.value) : Number.NaN;
  });
  if (major !== abi.major || minor === undefined || !(minor >= abi.leastMinor)) {
    throw moduleError(`ABI ${major}.${minor}; expected 1.2 or a later 1`);
  }
  return minor;
}

function load(exports: OpaExports, memory: WebAssembly.Memory, minor: number, data: string): LoadedPolicy {
  const policy = attempt(() => {
    const missing = Object.keys(JSON.parse(textAt(memory, exports.opa_json_dump(exports.builtins()))) as object);
    if (missing.length > 0) throw moduleError(`needs ${missing.join(', ')}, which the engine does not have`);
    // Only its exports are ever touched.
    const instance = { exports } as unknown as WebAssembly.Instance;
    return new (opaWasm().LoadedPolicy)({ instance } as WebAssembly.WebAssemblyInstantiatedSource, memory, minor);
  }, moduleError);
  attempt(
    () => policy.setData(JSON.parse(data) as object),
    (message, cause) => engineErrors.error('ENGINE_REGO_DATA', `data.json: ${message}`, { cause }),
  );
  return policy;
}

function attempt<T>(work: () => T, errorOf: (message: string, cause: unknown) => CodedError): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw errorOf(describe(error), error);
  }
}

/** In words; opa's host throws strings. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error).slice(0, MAX_ABORT_LENGTH);
}

function textAt(memory: WebAssembly.Memory, address: number): string {
  const bytes = Buffer.from(memory.buffer, address);
  return bytes.subarray(0, bytes.indexOf(0)).toString('utf8');
}

/** Loaded when the first package is: most edges have none. */
function opaWasm(): { LoadedPolicy: typeof LoadedPolicy } {
  return createRequire(import.meta.url)('@open-policy-agent/opa-wasm') as { LoadedPolicy: typeof LoadedPolicy };
}

function moduleError(message: string, cause?: unknown): CodedError {
  return engineErrors.error('ENGINE_REGO_MODULE', message, cause === undefined ? {} : { cause });
}
