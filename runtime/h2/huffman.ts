// The Huffman code of HPACK (RFC 7541 section 5.2, appendix B). The code is canonical: the lengths say it all.
import { ConnectionFault } from './protocol.ts';

/** Bits of the code of each octet, and of EOS (256). */
const codeLengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];

const endOfString = 256;

interface Node {
  zero: Node | undefined;
  one: Node | undefined;
  symbol: number | undefined;
  /** Index of an inner node in the machine. */
  state: number;
  /** Section 5.2: padding is the beginning of EOS, shorter than an octet. */
  mayEnd: boolean;
}

const newNode = (): Node => ({ zero: undefined, one: undefined, symbol: undefined, state: 0, mayEnd: false });

function buildTree(): Node {
  const root = newNode();
  const order = [...codeLengths.keys()].sort((a, b) => lengthOf(a) - lengthOf(b) || a - b);
  let code = 0;
  let length = lengthOf(order[0] ?? 0);
  for (const symbol of order) {
    code *= 2 ** (lengthOf(symbol) - length);
    length = lengthOf(symbol);
    let node = root;
    for (let bit = length - 1; bit >= 0; bit--) {
      const side = Math.floor(code / 2 ** bit) % 2 === 1 ? 'one' : 'zero';
      node = node[side] ??= newNode();
    }
    node.symbol = symbol;
    code++;
  }
  for (let depth = 0, node: Node | undefined = root; depth < 8 && node !== undefined; depth++, node = node.one) {
    node.mayEnd = true;
  }
  return root;
}

const lengthOf = (symbol: number): number => codeLengths[symbol] ?? 0;

// The machine reads four bits a step. A step emits at most one octet, because no code is shorter than five bits.
const failed = 0xffff;
const emits = 0x8000;

function buildMachine(): { steps: Uint16Array; symbols: Uint8Array; ends: Uint8Array } {
  const states: Node[] = [];
  const collect = (node: Node | undefined): void => {
    if (node === undefined || node.symbol !== undefined) return;
    node.state = states.push(node) - 1;
    collect(node.zero);
    collect(node.one);
  };
  const root = buildTree();
  collect(root);
  const steps = new Uint16Array(states.length * 16);
  const symbols = new Uint8Array(states.length * 16);
  for (const node of states) {
    for (let nibble = 0; nibble < 16; nibble++) {
      const at = node.state * 16 + nibble;
      let next: Node | undefined = node;
      let step = 0;
      for (let bit = 3; bit >= 0 && next !== undefined; bit--) {
        next = (nibble >> bit) & 1 ? next.one : next.zero;
        if (next?.symbol === endOfString) next = undefined;
        if (next?.symbol === undefined) continue;
        step = emits;
        symbols[at] = next.symbol;
        next = root;
      }
      steps[at] = next === undefined ? failed : step | next.state;
    }
  }
  return { steps, symbols, ends: Uint8Array.from(states, (node) => Number(node.mayEnd)) };
}

const { steps, symbols, ends } = buildMachine();

/** Octets that `bytes` encoded octets can become at most. */
export const maxDecodedBytes = (bytes: number): number => Math.floor((bytes * 8) / 5);

/** Decodes `source[start, end)` into `target` from 0; says how many octets. Throws COMPRESSION_ERROR. */
export function decodeHuffman(source: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let state = 0;
  let length = 0;
  for (let at = start; at < end; at++) {
    const octet = source[at] ?? 0;
    for (let shift = 4; shift >= 0; shift -= 4) {
      const index = state * 16 + ((octet >> shift) & 15);
      const step = steps[index] ?? failed;
      if (step === failed) throw new ConnectionFault('COMPRESSION_ERROR', 'EOS inside a Huffman-coded string');
      if (step & emits) target[length++] = symbols[index] ?? 0;
      state = step & ~emits;
    }
  }
  if (ends[state] !== 1) throw new ConnectionFault('COMPRESSION_ERROR', 'wrong padding of a Huffman-coded string');
  return length;
}
