// tests/**/*.yaml: given / when / then, answered by the decision engine over the slice of the serving device.
import { z } from 'zod';
import type { Reason, SubjectState } from '../../engine/request.ts';
import { givenAttributes } from './given-attributes.ts';
import { modbusFunction } from './modbus-function.ts';
import { attestationClass, binding, duration, id } from './scalars.ts';

/** Every state and reason, so that a new one is a type error here until tests can name it. */
const states = {
  unknown: true,
  expected: true,
  enrolled: true,
  trusted: true,
  stale: true,
  suspect: true,
  quarantined: true,
  recovering: true,
  decommissioned: true,
  revoked: true,
} satisfies Record<SubjectState, true>;

const reasons = {
  granted: true,
  'no-bundle': true,
  'hard-expired': true,
  'soft-expired': true,
  state: true,
  denied: true,
  'no-grant': true,
  condition: true,
  binding: true,
  casbin: true,
  'unknown-interface': true,
  'unknown-operation': true,
  ambiguous: true,
  fault: true,
} satisfies Record<Reason, true>;

const given = z.strictObject({
  /** Any id: a device nobody knows is a subject worth testing. */
  subject: id,
  state: z.enum(Object.keys(states) as [SubjectState, ...SubjectState[]]).default('trusted'),
  attestation: attestationClass.default('software'),
  attestedAgo: duration.default(60_000),
  risk: z.int().min(0).max(100).default(0),
  binding: binding.optional(),
  time: z.iso
    .datetime()
    .transform((text) => Date.parse(text))
    .optional(),
  attributes: givenAttributes.default({}),
});

const modbusRequest = z.strictObject({
  function: modbusFunction,
  unit: z.int().min(0).max(255).default(1),
  address: z.int().min(0).max(65535).default(0),
  quantity: z.int().min(0).max(65535).default(1),
  values: z.array(z.int().min(0).max(65535)).default([]),
});

const when = z
  .strictObject({
    interface: id,
    device: id.optional(),
    http: z.strictObject({ method: z.string().min(1), path: z.string().min(1) }).optional(),
    modbus: modbusRequest.optional(),
    port: z.literal(true).optional(),
  })
  .refine((entry) => [entry.http, entry.modbus, entry.port].filter((part) => part !== undefined).length === 1, {
    path: ['interface'],
    message: 'expected exactly one of http, modbus, port beside the interface',
  });

const policyTest = z.strictObject({
  name: z.string().min(1).max(256),
  given,
  when,
  // oxlint-disable-next-line unicorn/no-thenable -- the word of given/when/then; the object is never awaited
  then: z.enum(['allow', 'deny']),
  reason: z.enum(Object.keys(reasons) as [Reason, ...Reason[]]).optional(),
});

export const testsSchema = z.strictObject({ tests: z.array(policyTest) });
export type TestEntry = z.infer<typeof policyTest>;
