// A Casbin model with its policy, compiled: enforce() answers what node-casbin would, except where that would be less
// safe (README.md lists every divergence). Immutable: a reload compiles a new one aside, nothing is ever cleared.
import { MAX_CASBIN_VALUE_LENGTH } from '../limits.ts';
import { readAddress } from './ip-pattern.ts';
import { compileMatcher } from './matcher-compile.ts';
import { parseModelFile } from './model-file.ts';
import { parsePolicyFile } from './policy-file.ts';
import { indexLines } from './policy-index.ts';
import { closeRoles } from './role-closure.ts';

export interface CasbinSource {
  readonly model: string;
  readonly policy: string;
  /** Names for errors and explanations, e.g. `casbin/scada/model.conf`. */
  readonly modelFile: string;
  readonly policyFile: string;
}

export type CasbinVerdict =
  /** `line` of policy.csv decided; 0 when the absence of a deny did. */
  | { readonly allow: true; readonly line: number }
  | {
      readonly allow: false;
      readonly line: number;
      readonly why: 'denied' | 'no-line' | 'empty-policy' | 'unusable-request';
    };

export interface CasbinModel {
  /** Names of the request's fields, in order. */
  readonly request: readonly string[];
  readonly policyFile: string;
  readonly enforce: (values: readonly string[]) => CasbinVerdict;
}

/** Throws a CodedError ENGINE_CASBIN_* with file and line for what is wrong or not supported. */
export function compileCasbin(source: CasbinSource): CasbinModel {
  const model = parseModelFile(source.model, source.modelFile);
  const policy = parsePolicyFile(source.policy, source.policyFile, model);
  const roles = new Map([...policy.roles].map(([name, lines]) => [name, closeRoles(lines, source.policyFile)]));
  const { expression, test, lines, addressFields } = compileMatcher(model, policy, roles, source.policyFile);
  const allows = indexLines(
    lines.filter((line) => line.allow),
    expression,
    test,
    roles,
  );
  const denies = indexLines(
    lines.filter((line) => !line.allow),
    expression,
    test,
    roles,
  );
  const usable = (values: readonly string[]): boolean =>
    values.length === model.request.length &&
    values.every(isPlain) &&
    addressFields.every((field) => readAddress(values[field] ?? '') !== undefined);

  const enforce = (values: readonly string[]): CasbinVerdict => {
    // Empty equals missing in the reference, and an empty policy allows what a bug leaves empty (faults 1 and 14).
    if (lines.length === 0) return { allow: false, line: 0, why: 'empty-policy' };
    if (!usable(values)) return { allow: false, line: 0, why: 'unusable-request' };
    if (model.effect !== 'allow-override') {
      const denied = denies(values);
      if (denied !== undefined) return { allow: false, line: denied.line, why: 'denied' };
      if (model.effect === 'deny-override') return { allow: true, line: 0 };
    }
    const allowed = allows(values);
    return allowed === undefined ? { allow: false, line: 0, why: 'no-line' } : { allow: true, line: allowed.line };
  };
  return { request: model.request, policyFile: source.policyFile, enforce };
}

/** Text that means the same to every reader: not empty, bounded, no control characters or line separators. */
function isPlain(value: unknown): boolean {
  if (typeof value !== 'string' || value === '' || value.length > MAX_CASBIN_VALUE_LENGTH) return false;
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029) return false;
  }
  return true;
}
