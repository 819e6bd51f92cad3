// The orders this edge has applied: highest sequence, the verdict of each device, and what they say of this one, in
// orders/orders.json.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type PublicJwk, verifyJws } from '../../identity/index.ts';
import { type Order, OrderLogSchema, OrderSchema } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { decodeMessage } from '../../runtime/grpc-wire.ts';
import { type FileSystem, isErrno } from '../../store/files.ts';
import { storeFault, writeDurably } from '../../store/sealed-file.ts';
import { activationErrors } from './errors.ts';
import { MAX_ORDERS_BYTES, MAX_ORDERS_PER_LOG } from './limits.ts';
import { type IsPlainAddress, requireContent } from './order-content.ts';
import { applySiteOrder, concerns, noSiteOrders, type SiteOrders } from './site-orders.ts';
import { applyOrder, type Verdict, type Verdicts } from './verdicts.ts';

export interface OrderBook {
  /** Highest sequence that is on disk. */
  sequence(): bigint;
  verdicts(): Verdicts;
  /** What they say of this device. */
  site(): SiteOrders;
  /** These pardons are carried out: durable when it resolves, so that none is carried out again. */
  pardoned(pardons: SiteOrders['pardons']): Promise<void>;
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
  /** Of an order for many devices: it names this one, and `full` when its block found no room. */
  readonly site?: { readonly concerned: boolean; readonly full: boolean };
}

export interface OrderBookOptions {
  readonly fs: FileSystem;
  readonly path: string;
  readonly trustDomain: string;
  readonly deviceId: string;
  readonly isPlainAddress: IsPlainAddress;
  readonly keys: () => readonly PublicJwk[];
}

const siteSchema = z.strictObject({
  island: z
    .strictObject({ sequence: z.int().positive(), issuedAt: z.int(), reason: z.string(), by: z.string() })
    .optional(),
  rejoined: z.strictObject({ sequence: z.int().positive(), issuedAt: z.int() }).optional(),
  blocks: z
    .record(z.string(), z.strictObject({ sequence: z.int().positive(), until: z.int(), reason: z.string() }))
    .optional(),
  pardons: z.record(z.string(), z.int().positive()).optional(),
});
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
  /** Absent while no order for many devices concerned this one. */
  site: siteSchema.optional(),
});
/** `digest` finds decay: a flipped bit in a name is JSON all the same, and would let a device out of quarantine. */
const fileSchema = z.strictObject({ format: z.literal(1), digest: z.string(), book: bookSchema });

interface Book {
  readonly sequence: number;
  readonly verdicts: Verdicts;
  readonly site: SiteOrders;
}

export async function openOrderBook(
  options: OrderBookOptions,
  damaged: (path: string, error: unknown) => void,
): Promise<OrderBook> {
  const empty: Book = { sequence: 0, verdicts: new Map(), site: noSiteOrders };
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
  const write = async (): Promise<void> => {
    const writing = book;
    await writeDurably(options.fs, options.path, Buffer.from(fileText(writing, options.trustDomain)));
    written = writing;
  };
  return {
    sequence: () => BigInt(written.sequence),
    verdicts: () => book.verdicts,
    site: () => book.site,
    async pardoned(done) {
      const pardons = new Map([...book.site.pardons].filter(([address, sequence]) => done.get(address) !== sequence));
      if (pardons.size === book.site.pardons.size) return;
      book = { ...book, site: { ...book.site, pardons } };
      await write();
    },
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
        if (book.sequence !== written.sequence) await write();
        return { applied, failure };
      } catch (error) {
        return { applied, failure: failure ?? { error } };
      }
    },
  };
}

function parseBook(bytes: Buffer, trustDomain: string): Book {
  const file = fileSchema.parse(JSON.parse(bytes.toString('utf8')));
  const { sequence, verdicts, site: stored = {} } = file.book;
  const site: SiteOrders = {
    island: stored.island,
    rejoined: stored.rejoined,
    blocks: new Map(Object.entries(stored.blocks ?? {})),
    pardons: new Map(Object.entries(stored.pardons ?? {})),
  };
  const book = { sequence, verdicts: new Map(Object.entries(verdicts)), site };
  if (file.book.trustDomain !== trustDomain) {
    throw activationErrors.error('ORDERS_TRUST_DOMAIN', `orders of ${file.book.trustDomain}, edge of ${trustDomain}`);
  }
  if (digestOfBook(book, trustDomain).toString('hex') !== file.digest) {
    throw activationErrors.error('ORDERS_INVALID', 'the stored orders have another digest than was written');
  }
  return book;
}

function bookJson({ sequence, verdicts, site }: Book, trustDomain: string): z.infer<typeof bookSchema> {
  const { island, rejoined, blocks, pardons } = site;
  const said: z.infer<typeof siteSchema> = {
    ...(island === undefined ? {} : { island }),
    ...(rejoined === undefined ? {} : { rejoined }),
    ...(blocks.size === 0 ? {} : { blocks: Object.fromEntries(blocks) }),
    ...(pardons.size === 0 ? {} : { pardons: Object.fromEntries(pardons) }),
  };
  const book = { trustDomain, sequence, verdicts: Object.fromEntries(verdicts) };
  return Object.keys(said).length === 0 ? book : { ...book, site: said };
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
  let { sequence, site } = before;
  let failure: { error: unknown } | undefined;
  try {
    for (const jws of jwss) {
      const order = await verifyOrder(jws, options);
      const number = Number(order.sequence);
      if (number <= sequence) continue;
      if (number !== sequence + 1) {
        throw activationErrors.error('ORDERS_GAP', `order ${number} came, ${sequence + 1} is next`);
      }
      if (order.deviceId === '') {
        const { after, full } = applySiteOrder(site, order, options.deviceId);
        site = after;
        const concerned = concerns(order, options.deviceId);
        applied.push({ order, from: undefined, to: undefined, site: { concerned, full } });
      } else applied.push({ order, ...applyOrder(verdicts, order) });
      sequence = number;
    }
  } catch (error) {
    failure = { error };
  }
  return { next: { sequence, verdicts, site }, applied, failure };
}

async function verifyOrder(jws: string, { keys, trustDomain, isPlainAddress }: OrderBookOptions): Promise<Order> {
  const { payload } = await verifyJws(jws, { typ: 'edgeward-order+proto', keys: keys() });
  const order = decodeMessage(OrderSchema, payload);
  if (order.trustDomain !== trustDomain) {
    throw activationErrors.error('ORDERS_TRUST_DOMAIN', `order of ${order.trustDomain}, edge of ${trustDomain}`);
  }
  requireContent(order, isPlainAddress);
  return order;
}
