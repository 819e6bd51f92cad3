// Gives a WebAssembly module a meter: every function entry and every loop turn pays for the instructions it may run
// before the next payment, and traps when the fuel is used up. So a module cannot run longer than its fuel, in the
// thread that decides, and the same module runs exactly as long on every machine.
//
// Only what opa writes is accepted: WebAssembly 1.0 with sign extension and saturating conversion (core specification,
// 5.4 and 5.5). Every other instruction or section is refused, so nothing runs unmetered.
import { engineErrors } from '../errors.ts';
import { MAX_REGO_TABLE } from '../limits.ts';
import { ByteReader, bytesOf, leb128, sized, vector } from './wasm-bytes.ts';

/** Name under which the meter's mutable i32 is exported; a module that exports it already is refused. */
export const fuelExport = 'edgeward_fuel';

const sectionIds = { custom: 0, table: 4, memory: 5, global: 6, export: 7, code: 10 } as const;
/** Order in which sections stand: 1 to 11; 12 (data count) comes with bulk memory, 13 with exceptions. */
const lastSection = 11;

interface Section {
  readonly id: number;
  readonly content: Uint8Array;
}

/**
 * The module with a meter. It is valid and imports no global, or what comes out is not to be trusted. `fuel` in instructions is what
 * a start function may use. Throws ENGINE_REGO_MODULE.
 */
export function meterModule(module: Uint8Array, fuel: number): Uint8Array<ArrayBuffer> {
  const sections = readSections(module);
  const globals = contentOf(sections, sectionIds.global);
  const exports = contentOf(sections, sectionIds.export);
  const meter = countOf(globals);
  const rewritten = new Map<number, Uint8Array>([
    [sectionIds.global, append(globals, bytesOf([i32Type, mutable, op.i32Const], leb128(fuel), [op.end]))],
    [
      sectionIds.export,
      append(exports, bytesOf(sized(new TextEncoder().encode(fuelExport)), [globalKind], leb128(meter))),
    ],
    [sectionIds.code, meterCode(contentOf(sections, sectionIds.code), meter)],
  ]);
  for (const { id, content } of sections) if (!rewritten.has(id)) rewritten.set(id, content);
  const parts = [...rewritten].sort(([a], [b]) => a - b).map(([id, content]) => bytesOf([id], sized(content)));
  return bytesOf(module.subarray(0, 8), ...parts);
}

/** In order, custom sections (names, producers) left out. */
function readSections(module: Uint8Array): Section[] {
  const reader = new ByteReader(module);
  if (reader.take(8).join() !== '0,97,115,109,1,0,0,0') throw moduleError('not a WebAssembly 1.0 module');
  const sections: Section[] = [];
  let last = 0;
  while (!reader.ended) {
    const id = reader.byte();
    const content = reader.take(reader.u32());
    if (id === sectionIds.custom) continue;
    if (id > lastSection || id <= last) throw moduleError(`section ${id} is unknown, or out of order`);
    if (id === sectionIds.memory && countOf(content) > 0) {
      throw moduleError('has a memory of its own; expected the one it imports, which is bounded');
    }
    if (id === sectionIds.table) checkTables(content);
    last = id;
    sections.push({ id, content });
  }
  return sections;
}

function checkTables(content: Uint8Array): void {
  const reader = new ByteReader(content);
  if (reader.count() > 1) throw moduleError('more than one table');
  if (reader.ended) return;
  if (reader.byte() !== functionReference) throw moduleError('a table of something else than functions');
  reader.byte();
  const size = reader.u32();
  if (size > MAX_REGO_TABLE) throw moduleError(`a table of ${size} functions; at most ${MAX_REGO_TABLE}`);
}

function contentOf(sections: readonly Section[], id: number): Uint8Array {
  return sections.find((section) => section.id === id)?.content ?? bytesOf([0]);
}

function countOf(content: Uint8Array): number {
  return new ByteReader(content).u32();
}

/** A vector with one element more. */
function append(content: Uint8Array, element: Uint8Array): Uint8Array {
  const reader = new ByteReader(content);
  const count = reader.u32();
  return bytesOf(leb128(count + 1), reader.rest(), element);
}

function meterCode(content: Uint8Array, meter: number): Uint8Array {
  const reader = new ByteReader(content);
  const functions = Array.from({ length: reader.count() }, () => {
    const body = new ByteReader(reader.take(reader.u32()));
    const locals = body.position;
    for (let groups = body.count(); groups > 0; groups--) {
      body.u32();
      checkValueType(body.byte());
    }
    const start = body.position;
    return sized(bytesOf(body.between(locals, start), meterBody(body, meter)));
  });
  if (!reader.ended) throw moduleError('bytes after the last function');
  return vector(functions);
}

/** A stretch of instructions that is paid for at once: a function or a loop, without the loops inside it. */
interface Stretch {
  /** Where its payment goes. */
  readonly at: number;
  instructions: number;
}

function meterBody(body: ByteReader, meter: number): Uint8Array {
  const start = body.position;
  const stretches: Stretch[] = [{ at: start, instructions: 1 }];
  const open: Stretch[] = [...stretches];
  for (;;) {
    const code = body.byte();
    skipImmediates(body, code);
    const current = open[open.length - 1];
    if (current === undefined) throw moduleError('an instruction after the end of its function');
    current.instructions += code === op.memoryGrow ? growCost : 1;
    if (code === op.block || code === op.if) open.push(current);
    if (code === op.loop) {
      const stretch = { at: body.position, instructions: 1 };
      stretches.push(stretch);
      open.push(stretch);
    }
    if (code === op.end) open.pop();
    if (open.length === 0) break;
  }
  if (!body.ended) throw moduleError('an instruction after the end of its function');
  const parts: Uint8Array[] = [];
  let from = start;
  for (const { at, instructions } of stretches) {
    parts.push(body.between(from, at), payment(meter, instructions));
    from = at;
  }
  return bytesOf(...parts, body.between(from, body.position));
}

/** What memory.grow takes even when it fails, in instructions of about a nanosecond. */
const growCost = 512;

/** fuel -= instructions; if (fuel < 0) unreachable. Never wraps: a stretch is far shorter than 2^31. */
function payment(meter: number, instructions: number): Uint8Array {
  const index = leb128(meter);
  return bytesOf(
    [op.globalGet],
    index,
    [op.i32Const],
    leb128(instructions),
    [op.i32Sub, op.globalSet],
    index,
    [op.globalGet],
    index,
    [op.i32Const, 0, op.i32LtS, op.if, emptyBlock, op.unreachable, op.end],
  );
}

const op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  brTable: 0x0e,
  callIndirect: 0x11,
  globalGet: 0x23,
  globalSet: 0x24,
  memorySize: 0x3f,
  memoryGrow: 0x40,
  i32Const: 0x41,
  i64Const: 0x42,
  f32Const: 0x43,
  f64Const: 0x44,
  i32LtS: 0x48,
  i32Sub: 0x6b,
  prefixed: 0xfc,
} as const;
const emptyBlock = 0x40;
const i32Type = 0x7f;
const functionReference = 0x70;
const mutable = 1;
const globalKind = 3;

/** Reads past what follows an opcode; refuses an opcode that is not of the accepted set. */
function skipImmediates(body: ByteReader, code: number): void {
  switch (code) {
    case op.block:
    case op.loop:
    case op.if:
      checkBlockType(body.byte());
      return;
    case op.brTable:
      for (let targets = body.count() + 1; targets > 0; targets--) body.u32();
      return;
    case op.callIndirect:
      body.u32();
      body.u32();
      return;
    case op.memorySize:
    case op.memoryGrow:
      if (body.byte() !== 0) throw moduleError('another memory than the one it imports');
      return;
    case op.i32Const:
    case op.i64Const:
      body.skipLeb();
      return;
    case op.f32Const:
      body.take(4);
      return;
    case op.f64Const:
      body.take(8);
      return;
    case op.prefixed:
      if (body.u32() > lastSaturating) throw moduleError('bulk memory instructions are not accepted');
      return;
    default:
      if (isBranchCallOrVariable(code)) {
        body.u32();
      } else if (code >= 0x28 && code <= 0x3e) {
        // Loads and stores: alignment and offset. A greater alignment names another memory.
        if (body.u32() > 3) throw moduleError('another memory than the one it imports');
        body.u32();
      } else if (!isPlain(code)) {
        throw moduleError(`instruction 0x${code.toString(16)} is not accepted`);
      }
  }
}

/** i32, i64, f32, f64. A reference type would be followed by more. */
function checkValueType(type: number): void {
  if (type < 0x7c || type > i32Type) throw moduleError(`value type 0x${type.toString(16)} is not accepted`);
}

/** No result, one result, or the index of one of the first 64 function types: a single byte each. */
function checkBlockType(type: number): void {
  if (type > emptyBlock) checkValueType(type);
}

/** i32.trunc_sat_f32_s (0) to i64.trunc_sat_f64_u (7); above are bulk memory and tables. */
const lastSaturating = 7;

/** br, br_if, call; local.get, .set, .tee; global.get, .set: one index each. */
function isBranchCallOrVariable(code: number): boolean {
  return code === 0x0c || code === 0x0d || code === 0x10 || (code >= 0x20 && code <= op.globalSet);
}

/** Without immediates: unreachable, nop, else, end, return, drop, select; 0x45 to 0xc4 are arithmetic. */
function isPlain(code: number): boolean {
  return [0x00, 0x01, 0x05, op.end, 0x0f, 0x1a, 0x1b].includes(code) || (code >= 0x45 && code <= 0xc4);
}

function moduleError(message: string): Error {
  return engineErrors.error('ENGINE_REGO_MODULE', message);
}
