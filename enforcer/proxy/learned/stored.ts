// learned.json in the state directory: learning takes weeks, and the edge restarts meanwhile. It is not evidence: a file that
// cannot be read is begun anew, and said.
import { join } from 'node:path';
import { z } from 'zod';
import { type FileSystem, isErrno } from '../../../store/files.ts';
import { writeDurably } from '../../../store/sealed-file.ts';
import { MAX_LEARNED_BYTES } from '../limits.ts';
import { createLearnedInterface, type LearnedInterface, type LearnedOperation } from './learned-interface.ts';
import { createNameTree } from './name-tree.ts';

const count = z.int().min(0);
const range = z.tuple([count, count]);
const seen = {
  count,
  subjects: z.array(z.tuple([z.string(), z.array(z.string())])),
};
const operation = z.discriminatedUnion('protocol', [
  z.strictObject({
    ...seen,
    protocol: z.literal('modbus'),
    functionCode: count,
    unit: count,
    addresses: z.array(range),
    values: range.optional(),
    maxQuantity: count,
  }),
  z.strictObject({
    ...seen,
    protocol: z.enum(['mqtt', 'http', 'tls']),
    verb: z.string(),
    /** `null` at the end stands for any rest. */
    names: z.array(z.array(z.string().nullable())),
    maxQos: z.union([z.literal(0), z.literal(1), z.literal(2)]),
    maxPayloadBytes: count,
    retain: z.boolean(),
    will: z.boolean(),
    shares: z.array(z.string()),
    clientIds: z.array(z.string()),
  }),
]);
const file = z.strictObject({
  format: z.literal(1),
  since: z.int(),
  interfaces: z.array(
    z.strictObject({
      name: z.string(),
      messages: count,
      left: count,
      operations: z.array(z.tuple([z.string(), operation])),
    }),
  ),
});

type StoredOperation = z.infer<typeof operation>;

export interface StoredLearning {
  readonly since: number;
  readonly interfaces: readonly LearnedInterface[];
}

const pathOf = (stateDir: string): string => join(stateDir, 'learned.json');

/** Undefined when there is none; rejects when it cannot be read. */
export async function readLearned(fs: FileSystem, stateDir: string): Promise<StoredLearning | undefined> {
  let bytes: Buffer;
  try {
    bytes = await fs.readFile(pathOf(stateDir), MAX_LEARNED_BYTES);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  const { since, interfaces } = file.parse(JSON.parse(bytes.toString('utf8')));
  return {
    since,
    interfaces: interfaces.map(({ name, messages, left, operations }) =>
      createLearnedInterface(name, {
        messages,
        left,
        operations: new Map(operations.map(([key, one]) => [key, restored(one)])),
      }),
    ),
  };
}

export async function writeLearned(
  fs: FileSystem,
  stateDir: string,
  { since, interfaces }: StoredLearning,
): Promise<void> {
  const content: z.infer<typeof file> = {
    format: 1,
    since,
    interfaces: interfaces.map((entry) => ({
      name: entry.name,
      messages: entry.messages(),
      left: entry.left(),
      operations: [...entry.operations].map(([key, one]) => [key, storedOf(one)]),
    })),
  };
  await writeDurably(fs, pathOf(stateDir), Buffer.from(JSON.stringify(content)));
}

function storedOf(one: LearnedOperation): StoredOperation {
  const subjects = [...one.subjects].map(([subject, bindings]): [string, string[]] => [subject, [...bindings]]);
  if (one.protocol === 'modbus') {
    const { values, addresses, ...rest } = one;
    const pairs = addresses.map(([low, high]): [number, number] => [low, high]);
    return { ...rest, subjects, addresses: pairs, ...(values === undefined ? {} : { values: [...values] }) };
  }
  const names = one.names.names().map((levels) => levels.map((level) => level ?? null));
  return { ...one, subjects, names, shares: [...one.shares], clientIds: [...one.clientIds] };
}

function restored(one: StoredOperation): LearnedOperation {
  const subjects = new Map(one.subjects.map(([subject, bindings]) => [subject, new Set(bindings)]));
  if (one.protocol === 'modbus') return { ...one, subjects, values: one.values };
  const names = createNameTree(one.protocol === 'mqtt' ? '+' : '*');
  for (const levels of one.names) names.add(levels.map((level) => level ?? undefined));
  return { ...one, subjects, names, shares: new Set(one.shares), clientIds: new Set(one.clientIds) };
}
