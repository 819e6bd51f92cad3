// Devices as the audit tests need them: an identity, a chain of events, and a stream into a log under test.
import { create } from '@bufbuild/protobuf';
import { randomBytes } from 'node:crypto';
import { encodeEvent, noMasking } from '../../audit/spool/payload.ts';
import type { NewEvent } from '../../audit/spool/index.ts';
import { headType } from '../../audit/edge/index.ts';
import { logOrigin, openAuditLog, type AuditLog, type DeliveringDevice } from '../../audit/cloud/index.ts';
import { chainNext, chainStart } from '../../audit/log/chain.ts';
import { encodeHead } from '../../audit/log/head.ts';
import { formatVerifierKey, generateNoteKey, keyId, signJws, type KeyPair } from '../../identity/index.ts';
import {
  DeliverRequestSchema,
  type DeliverRequest,
  type DeliverResponse,
} from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { systemClock, type Clock } from '../../runtime/clock.ts';
import { createLogger, type Logger } from '../../runtime/log.ts';
import type { Database } from '../../store/database.ts';
import { createTestAuthority, type TestAuthority } from '../support/pki.ts';

export const trustDomain = 'plant.example';
export const authority: TestAuthority = createTestAuthority(trustDomain);
export const quiet: Logger = createLogger({ name: 'test', level: 'silent' });

const noteKey = generateNoteKey();
export const verifierKey: string = formatVerifierKey(logOrigin(trustDomain), noteKey.publicKey);

export function openLog(db: Database, clock: Clock = systemClock): Promise<AuditLog> {
  const signer = { name: logOrigin(trustDomain), key: noteKey.privateKey };
  return openAuditLog({ db, trustDomain, clock, random: randomBytes, signer, log: quiet });
}

export interface ChainRecord {
  readonly sequence: bigint;
  readonly payload: Buffer;
  readonly chain: Buffer;
}

/** A device with its key; writes its chain in memory. */
export class TestDevice {
  readonly keys: KeyPair;
  readonly delivering: DeliveringDevice;
  epoch: Buffer = randomBytes(16);
  records: ChainRecord[] = [];

  constructor(name: string) {
    const { keys, der } = authority.issue(`spiffe://${trustDomain}/device/${name}`);
    this.keys = keys;
    this.delivering = { deviceId: name, publicKey: keys.publicKey, certificates: [der, authority.intermediate] };
  }

  /** Appends events; the new records. */
  write(count: number, more: Partial<NewEvent> = {}): ChainRecord[] {
    const added: ChainRecord[] = [];
    for (let n = 0; n < count; n += 1) {
      const sequence = this.records.length + 1;
      const event: NewEvent = { kind: 'authz', activity: 'deny', data: { count: sequence }, ...more };
      const payload = encodeEvent(event, 1_700_000_000_000 + sequence, noMasking);
      const chain = chainNext(this.records.at(-1)?.chain ?? chainStart(this.epoch), sequence, payload);
      const record = { sequence: BigInt(sequence), payload, chain };
      this.records.push(record);
      added.push(record);
    }
    return added;
  }

  signHead(payload: Uint8Array): Promise<string> {
    return signJws({ key: this.keys.privateKey, keyId: keyId(this.keys.publicKey), typ: headType }, payload);
  }

  open(firstSequence = 1): DeliverRequest {
    return message({
      case: 'open',
      value: { protocolVersion: 1, epoch: this.epoch, firstSequence: BigInt(firstSequence) },
    });
  }

  async head(sequence: number = this.records.length): Promise<DeliverRequest> {
    const chain = this.records[sequence - 1]?.chain ?? Buffer.alloc(32);
    const jws = await this.signHead(encodeHead({ epoch: this.epoch, sequence, chain }, Date.now()));
    return message({ case: 'head', value: { sequence: BigInt(sequence), jws } });
  }
}

type Message = { case: 'open' | 'batch' | 'head'; value: object };

export function message(value: Message): DeliverRequest {
  return create(DeliverRequestSchema, { message: value as never });
}

export function batch(records: readonly ChainRecord[]): DeliverRequest {
  return message({ case: 'batch', value: { records } });
}

/** Sends everything, then half-closes; the answers without credits, as short texts. */
export async function exchange(
  log: AuditLog,
  device: TestDevice,
  requests: readonly DeliverRequest[],
): Promise<string[]> {
  async function* send(): AsyncGenerator<DeliverRequest> {
    yield* requests;
  }
  const answers: string[] = [];
  for await (const response of log.ingest.deliver(send(), device.delivering)) {
    const text = describe(response);
    if (text !== undefined) answers.push(text);
  }
  return answers;
}

function describe({ message }: DeliverResponse): string | undefined {
  switch (message.case) {
    case 'opened':
      return `opened ${message.value.acknowledgedThrough}`;
    case 'acknowledged':
      return `through ${message.value.through}`;
    case 'refused':
      return `refused ${message.value.sequence} ${message.value.error?.code}`;
    case 'credit':
    case undefined:
      return undefined;
  }
}
