// The attributes of a subject that the engine itself reads, by name, and how they are read: absent, stale, dated in
// the future and of the wrong type are all the same here, unknown, and unknown never allows.
import { MAX_FUTURE_MS } from './limits.ts';
import type { AccessRequest, Attribute, AttributeValue } from './request.ts';

export const attributeNames = {
  /** Hardware class of the last appraisal: `none`, `software`, `idevid`, `tpm`; dated with that appraisal. */
  attestation: 'attestation',
  /** 0 to 100. */
  risk: 'risk',
  /** True after recovery of the software class: sensitive operations stay closed. */
  reduced: 'reduced',
  /** Of a resource: the device that serves the interface, where several serve one of that name. */
  device: 'device',
} as const;

/** What signed device states say of a subject. Times are milliseconds since the epoch. */
export interface SubjectFacts {
  readonly attestationClass: string;
  /** Time of the last affirming appraisal; 0 for never. */
  readonly attestedAt: number;
  readonly risk: number;
  readonly reduced: boolean;
  /** When the control plane knew risk and `reduced`. */
  readonly asOf: number;
}

export function subjectAttributes(facts: SubjectFacts): AccessRequest['subject']['attributes'] {
  return {
    [attributeNames.attestation]: { value: facts.attestationClass, asOf: facts.attestedAt },
    [attributeNames.risk]: { value: facts.risk, asOf: facts.asOf },
    [attributeNames.reduced]: { value: facts.reduced, asOf: facts.asOf },
  };
}

/** The attribute, or undefined when it is absent or dated in the future. */
export function attribute(
  attributes: Readonly<Record<string, Attribute>>,
  name: string,
  time: number,
): Attribute | undefined {
  const found = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
  if (found === undefined) return undefined;
  return found.asOf !== undefined && !(found.asOf <= time + MAX_FUTURE_MS) ? undefined : found;
}

export function text(value: AttributeValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function finite(value: AttributeValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
