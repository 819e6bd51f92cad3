// The orders this edge has applied: highest sequence and the verdict of each device, in orders/orders.json.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type PublicJwk, verifyJws } from '../../identity/index.ts';
import { type Order, OrderLogSchema, OrderSchema, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { idPattern } from '../../policy/bundle/index.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { decodeMessage } from '../../runtime/grpc-wire.ts';
import { type FileSystem, isErrno } from '../../store/files.ts';
import { storeFault, writeDurably } from '../../store/sealed-file.ts';
import { activationErrors } from './errors.ts';
import { MAX_ORDERS_BYTES, MAX_ORDERS_PER_LOG } from './limits.ts';
import { applyOrder, type Verdict, type Verdicts } from './verdicts.ts';

export interface OrderBook {
  /** Highest sequence that is on disk. */
  sequence(): bigint;
  verdicts(): Verdicts;
  /** SHA-256 of what is in force. */
  digest(): Uint8Array;
  /**
   * The file was damaged and what it held is lost: nobody's verdict is known until the orders came again from the
   * first on, or the control plane said that there are none.
   */
  lost(): boolean;
  foundAgain(): void;
  /**
   * Applies the orders of a log that are new, and makes them durable. Replays are ignored. `failure` is set on a gap,
   * on an order that does not verify (those before it count), and when they could not be written: they count until the
   * next restart all the same, because a full disk must not keep a device out of quarantine.
   */
  take(logBytes: Uint8Array): Promise<{ applied: readonly AppliedOrder[]; failure: { error: unknown } | undefined }>;
}

export interface AppliedOrder {
  readonly order: Order;
  readonly from: Verdict | undefined;
  readonly to: Verdict | undefined;
}

export interface OrderBookOptions {
  readonly fs: FileSystem;
  readonly path: string;
  readonly trustDomain: string;
  readonly keys: () => readonly PublicJwk[];
}

const bookSchema = z.strictObject({
  trustDomain: z.string(),
  sequence: z.int().nonnegative(),
  verdicts: z.record(
    z.string(),
    z.strictObject({
      verdict: z.enum(['quarantined', 'recovering', 'revoked']),
      sequence: z.int().positive(),
      issuedAt: z.int(),
      reason: z.string(),
    }),
  ),
});
/** `digest` finds decay: a flipped bit in a name is JSON all the same, and would let a device out of quarantine. */
const fileSchema = z.strictObject({ format: z.literal(1), digest: z.string(), book: bookSchema });

interface Book {
  readonly sequence: number;
  readonly verdicts: Verdicts;
}

export async function openOrderBook(
  options: OrderBookOptions,
  damaged: (path: string, error: unknown) => void,
): Promise<OrderBook> {
  const empty: Book = { sequence: 0, verdicts: new Map() };
  let book = empty;
  let lost = false;
  try {
    book = parseBook(await options.fs.readFile(options.path, MAX_ORDERS_BYTES), options.trustDomain);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) {
      lost = true;
      damaged(options.path, storeFault(error, `cannot read ${options.path}`));
    }
  }
  let written = book;
  return {
    sequence: () => BigInt(written.sequence),
    verdicts: () => book.verdicts,
    digest: () => digestOfBook(book, options.trustDomain),
    lost: () => lost,
    foundAgain: () => {
      lost = false;
    },
    async take(logBytes) {
      const jwss = decodeMessage(OrderLogSchema, logBytes).orders;
      if (jwss.length > MAX_ORDERS_PER_LOG)
        throw activationErrors.error('ORDERS_INVALID', `${jwss.length} orders at once`);
      const { next, applied, failure } = await replay(book, jwss, options);
      book = next;
      try {
        if (book.sequence !== written.sequence) {
          await writeDurably(options.fs, options.path, Buffer.from(fileText(book, options.trustDomain)));
          written = book;
        }
        return { applied, failure };
      } catch (error) {
        return { applied, failure: failure ?? { error } };
      }
    },
  };
}

function parseBook(bytes: Buffer, trustDomain: string): Book {
  const file = fileSchema.parse(JSON.parse(bytes.toString('utf8')));
  const book = { sequence: file.book.sequence, verdicts: new Map(Object.entries(file.book.verdicts)) };
  if (file.book.trustDomain !== trustDomain) {
    throw activationErrors.error('ORDERS_TRUST_DOMAIN', `orders of ${file.book.trustDomain}, edge of ${trustDomain}`);
  }
  if (digestOfBook(book, trustDomain).toString('hex') !== file.digest) {
    throw activationErrors.error('ORDERS_INVALID', 'the stored orders have another digest than was written');
  }
  return book;
}

function bookJson({ sequence, verdicts }: Book, trustDomain: string): z.infer<typeof bookSchema> {
  return { trustDomain, sequence, verdicts: Object.fromEntries(verdicts) };
}

function digestOfBook(book: Book, trustDomain: string): Buffer {
  return createHash('sha256')
    .update(canonicalJson(bookJson(book, trustDomain)))
    .digest();
}

function fileText(book: Book, trustDomain: string): string {
  const digest = digestOfBook(book, trustDomain).toString('hex');
  return canonicalJson({ format: 1, digest, book: bookJson(book, trustDomain) });
}

async function replay(
  before: Book,
  jwss: readonly string[],
  options: OrderBookOptions,
): Promise<{ next: Book; applied: AppliedOrder[]; failure: { error: unknown } | undefined }> {
  const verdicts = new Map(before.verdicts);
  const applied: AppliedOrder[] = [];
  let { sequence } = before;
  let failure: { error: unknown } | undefined;
  try {
    for (const jws of jwss) {
      const order = await verifyOrder(jws, options);
      const number = Number(order.sequence);
      if (number <= sequence) continue;
      if (number !== sequence + 1) {
        throw activationErrors.error('ORDERS_GAP', `order ${number} came, ${sequence + 1} is next`);
      }
      applied.push({ order, ...applyOrder(verdicts, order) });
      sequence = number;
    }
  } catch (error) {
    failure = { error };
  }
  return { next: { sequence, verdicts }, applied, failure };
}

async function verifyOrder(jws: string, { keys, trustDomain }: OrderBookOptions): Promise<Order> {
  const { payload } = await verifyJws(jws, { typ: 'edgeward-order+proto', keys: keys() });
  const order = decodeMessage(OrderSchema, payload);
  if (order.trustDomain !== trustDomain) {
    throw activationErrors.error('ORDERS_TRUST_DOMAIN', `order of ${order.trustDomain}, edge of ${trustDomain}`);
  }
  const sequence = Number(order.sequence);
  if (
    !Number.isSafeInteger(sequence) ||
    sequence < 1 ||
    order.verb === OrderVerb.UNSPECIFIED ||
    !idPattern.test(order.deviceId)
  ) {
    throw activationErrors.error('ORDERS_INVALID', 'an order without sequence, verb or device');
  }
  return order;
}
