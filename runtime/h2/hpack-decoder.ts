// Header blocks to fields (RFC 7541), whole: static and dynamic table, Huffman code, size updates. We announce a table
// of size 0, but a peer may use 4096 octets until it has acknowledged that (RFC 9113 section 4.3.1).
import { decodeHuffman, maxDecodedBytes } from './huffman.ts';
import { ConnectionFault } from './protocol.ts';
import { staticTable } from './static-table.ts';

export interface FieldSink {
  /** Names and values are octets as Latin-1 characters. */
  field(name: string, value: string): void;
}

const defaultTableBytes = 4096;
/** Section 4.1: what an entry counts beyond its octets. */
const entryOverhead = 32;

const broken = (message: string): ConnectionFault => new ConnectionFault('COMPRESSION_ERROR', message);

export class HpackDecoder {
  /** Newest first. */
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  #tableBytes = 0;
  /** What the encoder said it uses. */
  #capacity = defaultTableBytes;
  /** What we allow it to use. */
  #limit = defaultTableBytes;
  #scratch: Buffer = Buffer.alloc(256);
  #source: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  /** From now on a block means the same whatever came before it: the table is empty and may not become anything else. */
  get isStateless(): boolean {
    return this.#capacity === 0 && this.#limit === 0;
  }

  /** Call when the peer has acknowledged our SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(bytes: number): void {
    this.#limit = bytes;
  }

  /** Decodes one whole header block. Throws COMPRESSION_ERROR, after which the connection cannot go on. */
  decode(source: Buffer, start: number, end: number, sink: FieldSink): void {
    this.#source = source;
    this.#at = start;
    this.#end = end;
    while (this.#at < end && ((source[this.#at] ?? 0) & 0xe0) === 0x20) this.#resize(this.#integer(5));
    if (this.#capacity > this.#limit) throw broken('the size of the table was reduced and the encoder did not follow');
    while (this.#at < end) this.#readField(sink);
  }

  #readField(sink: FieldSink): void {
    const first = this.#source[this.#at] ?? 0;
    if (first & 0x80) {
      const index = this.#integer(7);
      sink.field(this.#nameAt(index), this.#valueAt(index));
      return;
    }
    if ((first & 0xe0) === 0x20) throw broken('a table size update after the first field');
    const indexing = (first & 0x40) !== 0;
    const index = this.#integer(indexing ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#nameAt(index);
    const value = this.#string();
    if (indexing) this.#insert(name, value);
    sink.field(name, value);
  }

  /** Section 5.1. Nothing that we read has a number above 2^21, so four octets more are enough. */
  #integer(prefixBits: number): number {
    const max = (1 << prefixBits) - 1;
    let value = this.#octet() & max;
    if (value < max) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const octet = this.#octet();
      value += (octet & 0x7f) << shift;
      if ((octet & 0x80) === 0) return value;
    }
    throw broken('an integer without end');
  }

  #octet(): number {
    if (this.#at >= this.#end) throw broken('the header block ends inside a field');
    return this.#source[this.#at++] ?? 0;
  }

  #string(): string {
    const isHuffman = ((this.#source[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const start = this.#at;
    const end = start + length;
    if (end > this.#end) throw broken('the header block ends inside a string');
    this.#at = end;
    if (!isHuffman) return this.#source.toString('latin1', start, end);
    const most = maxDecodedBytes(length);
    if (this.#scratch.length < most) this.#scratch = Buffer.alloc(most);
    return this.#scratch.toString('latin1', 0, decodeHuffman(this.#source, start, end, this.#scratch));
  }

  #nameAt(index: number): string {
    return staticTable[index - 1]?.[0] ?? this.#names[index - 1 - staticTable.length] ?? unknownIndex(index);
  }

  #valueAt(index: number): string {
    return staticTable[index - 1]?.[1] ?? this.#values[index - 1 - staticTable.length] ?? unknownIndex(index);
  }

  #resize(capacity: number): void {
    if (capacity > this.#limit) throw broken(`a table of ${capacity} octets, more than ${this.#limit}`);
    this.#capacity = capacity;
    this.#evict(capacity);
  }

  #insert(name: string, value: string): void {
    const bytes = name.length + value.length + entryOverhead;
    // Section 4.4: what is larger than the table empties it and is not an error.
    this.#evict(this.#capacity - bytes);
    if (bytes > this.#capacity) return;
    this.#names.unshift(name);
    this.#values.unshift(value);
    this.#tableBytes += bytes;
  }

  #evict(until: number): void {
    while (this.#names.length > 0 && this.#tableBytes > until) {
      this.#tableBytes -= (this.#names.pop() ?? '').length + (this.#values.pop() ?? '').length + entryOverhead;
    }
  }
}

function unknownIndex(index: number): never {
  throw broken(`no entry ${index} in the table`);
}
