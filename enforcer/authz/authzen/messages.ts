// The requests of OpenID AuthZEN Authorization API 1.0 (sections Information Model, Access Evaluation API, Access
// Evaluations API, Search APIs) as this edge reads them. Unknown members are ignored; a missing or mistyped one is said.
import { z } from 'zod';

const properties = z.record(z.string(), z.unknown()).default({});
const text = z.string();

const subject = z.object({ type: text, id: text, properties });
const action = z.object({ name: text, properties });
const resource = z.object({ type: text, id: text, properties });
const context = z.looseObject({
  /** Obligations Profile, negotiation: types that the caller can carry out. */
  supported_obligations: z.array(text).optional(),
});

export const evaluationSchema = z.object({ subject, action, resource, context: context.default({}) });
export type Entities = z.infer<typeof evaluationSchema>;

export const semantics = ['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'] as const;
export type Semantic = (typeof semantics)[number];

/** Defaults are looked at where an evaluation takes them over. */
const anyObject = z.record(z.string(), z.unknown());
export const evaluationsSchema = z.object({
  subject: anyObject.optional(),
  action: anyObject.optional(),
  resource: anyObject.optional(),
  context: anyObject.optional(),
  evaluations: z.array(z.unknown()).default([]),
  options: z.object({ evaluations_semantic: z.enum(semantics).default('execute_all') }).default({
    evaluations_semantic: 'execute_all',
  }),
});

const page = z
  .object({ token: text.optional(), limit: z.int().min(0).optional(), properties: anyObject.optional() })
  .default({});
/** The entity searched for has a type and no id: one that is there is ignored. */
const searched = z.object({ type: text, properties });

export const searchSchemas = {
  subject: z.object({ subject: searched, action, resource, context: context.default({}), page }),
  resource: z.object({ subject, action, resource: searched, context: context.default({}), page }),
  action: z.object({ subject, resource, context: context.default({}), page }),
} as const;
export type SearchKind = keyof typeof searchSchemas;
export type PageRequest = z.infer<typeof page>;

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: string };

/** The first fault, in words that name no value. */
export function parse<S extends z.ZodType>(schema: S, value: unknown): Parsed<z.infer<S>> {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  const [issue] = result.error.issues;
  const place = issue?.path.map(String).join('.') ?? '';
  return { ok: false, fault: `${place === '' ? 'body' : place}: ${issue?.message ?? 'invalid'}` };
}
