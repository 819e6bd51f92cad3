// Assembles the smallest WebAssembly module that looks like a compiled Rego package, for tests of what opa would never
// write: another body of opa_eval, other imports, another memory, sections and types that are not accepted.
import { bytesOf, leb128, sized, vector } from '../rego/wasm-bytes.ts';

export const i32 = 0x7f;
type Bytes = Uint8Array | readonly number[];

export interface ModuleParts {
  /** Instructions of opa_eval, without the final end; by default it answers `{"deny": []}`. */
  readonly body?: Bytes;
  /** Declarations of its locals: count and type each. */
  readonly locals?: readonly Bytes[];
  /** Import entries beside the memory; functions there shift all indexes, so that nothing may be exported. */
  readonly imports?: readonly Bytes[];
  /** Limits of the imported memory: flags, pages. */
  readonly memory?: Bytes;
  readonly table?: Bytes;
  readonly ownMemory?: Bytes;
  readonly globals?: readonly Bytes[];
  /** Name that opa_eval is exported under. */
  readonly evalName?: string;
  /** Function that runs when the module is instantiated. */
  readonly start?: Bytes;
  readonly answer?: string;
  readonly builtins?: string;
}

const text = (value: string): Uint8Array => sized(new TextEncoder().encode(value));
const section = (id: number, content: Bytes): Uint8Array => bytesOf([id], sized(bytesOf(content)));
const functionType = (parameters: number, results: number): Uint8Array =>
  bytesOf(
    [0x60],
    vector(Array.from({ length: parameters }, () => Uint8Array.of(i32))),
    [results],
    Array(results).fill(i32),
  );
/** i32.const */
export const constant = (value: number): Uint8Array => bytesOf([0x41], leb128(value));
const body = (instructions: Bytes, locals: readonly Bytes[] = []): Uint8Array =>
  sized(bytesOf(vector(locals.map((entry) => bytesOf(entry))), instructions, [0x0b]));

/** Where its texts lie. */
const addresses = { builtins: 8, entrypoints: 64, answer: 512, heap: 4096 } as const;

export function moduleOf(parts: ModuleParts = {}): Uint8Array<ArrayBuffer> {
  const { imports = [], memory = [0, 1], evalName = 'opa_eval', globals = [] } = parts;
  const answer = parts.answer ?? '[{"result": {"deny": []}}]';
  const types = [functionType(0, 1), functionType(1, 1), functionType(2, 1), functionType(7, 1), functionType(1, 0)];
  types.push(functionType(0, 0));
  const functions: [name: string, type: number, code: Uint8Array][] = [
    [evalName, 3, body(parts.body ?? constant(addresses.answer), parts.locals)],
    ['opa_malloc', 1, body(constant(addresses.heap))],
    ['opa_json_parse', 2, body(constant(1))],
    ['opa_json_dump', 1, body([0x20, 0])],
    ['opa_heap_ptr_get', 0, body(constant(addresses.heap))],
    ['opa_heap_ptr_set', 4, body([])],
    ['builtins', 0, body(constant(addresses.builtins))],
    ['entrypoints', 0, body(constant(addresses.entrypoints))],
    ['begin', 5, body(parts.start ?? [])],
  ];
  const versions = ['opa_wasm_abi_version', 'opa_wasm_abi_minor_version'];
  const data = (address: number, content: string): Uint8Array =>
    bytesOf([0], constant(address), [0x0b], sized(new TextEncoder().encode(`${content}\0`)));
  const exported = [
    ...functions.map(([name], index) => bytesOf(text(name), [0], leb128(index))),
    ...versions.map((name, index) => bytesOf(text(name), [3], leb128(index))),
  ];
  return bytesOf(
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, vector(types)),
    section(2, vector([bytesOf(text('env'), text('memory'), [2], memory), ...imports.map((entry) => bytesOf(entry))])),
    section(3, vector(functions.map(([, type]) => Uint8Array.of(type)))),
    parts.table === undefined ? [] : section(4, parts.table),
    parts.ownMemory === undefined ? [] : section(5, parts.ownMemory),
    section(
      6,
      vector([
        ...[1, 3].map((value) => bytesOf([i32, 0], constant(value), [0x0b])),
        ...globals.map((entry) => bytesOf(entry)),
      ]),
    ),
    section(7, vector(exported)),
    parts.start === undefined ? [] : section(8, leb128(functions.length - 1)),
    section(10, vector(functions.map(([, , code]) => code))),
    section(
      11,
      vector([
        data(addresses.builtins, parts.builtins ?? '{}'),
        data(addresses.entrypoints, '{"trial/decision": 0}'),
        data(addresses.answer, answer),
      ]),
    ),
  );
}

/** An import of a function that takes nothing and answers nothing. */
export const functionImport = (module: string, name: string): Uint8Array => bytesOf(text(module), text(name), [0, 5]);
