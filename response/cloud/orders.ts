// One signed order of the trust domain, written in the transaction of what it orders.
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Kysely } from 'kysely';
import { OrderSchema, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { ResponseTables } from './migrations.ts';
import * as queries from './queries.ts';

/** Signs with the orders key; `typ` pins what the payload is. */
export type SignPayload = (typ: string, payload: Uint8Array) => Promise<string>;

const verbNames: Partial<Record<OrderVerb, string>> = {
  [OrderVerb.QUARANTINE]: 'quarantine',
  [OrderVerb.RECOVER]: 'recover',
  [OrderVerb.RELEASE]: 'release',
  [OrderVerb.REVOKE]: 'revoke',
  [OrderVerb.ISLAND]: 'island',
  [OrderVerb.REJOIN]: 'rejoin',
  [OrderVerb.BLOCK]: 'block',
  [OrderVerb.PARDON]: 'pardon',
};

export interface OrderContent {
  readonly verb: OrderVerb;
  readonly reason: string;
  /** SPIFFE ID or playbook. */
  readonly by: string;
  /** The fields of the verb (stream.proto). */
  readonly fields: Pick<
    MessageInitShape<typeof OrderSchema> & object,
    'deviceId' | 'deviceIds' | 'everyDevice' | 'address' | 'untilMs'
  >;
}

export interface OrderPorts {
  readonly trustDomain: string;
  readonly sign: SignPayload;
}

/** `at` is milliseconds since the epoch; `sequence` the next one, under the lock of the counters. */
export async function writeOrder(
  trx: Kysely<ResponseTables>,
  { trustDomain, sign }: OrderPorts,
  { verb, reason, by, fields }: OrderContent,
  sequence: number,
  at: number,
): Promise<void> {
  const order = create(OrderSchema, {
    trustDomain,
    sequence: BigInt(sequence),
    verb,
    issuedAtMs: BigInt(at),
    reason,
    approvers: by === '' ? [] : [by],
    ...(fields as MessageInitShape<typeof OrderSchema>),
  });
  await queries.addOrder(trx, {
    trust_domain: trustDomain,
    sequence,
    verb: verbNames[verb] ?? '',
    device_id: order.deviceId,
    jws: await sign('edgeward-order+proto', toBinary(OrderSchema, order)),
    issued_at: at,
  });
}
