// People who open break-glass: their keys, a profile that names them, requests and tickets.
import { generateKey, jwkOf, keyId } from '../../identity/index.ts';
import {
  approveBreakGlass,
  type BreakGlassRequest,
  type BreakGlassSigner,
  newBreakGlassRequest,
  type SliceBreakGlass,
} from '../../policy/bundle/index.ts';

export const hour = 3_600_000;
export const start: number = Date.UTC(2026, 5, 1);

export interface Person {
  readonly signer: BreakGlassSigner;
  readonly approver: SliceBreakGlass['approvers'][number];
}

export function person(name: string): Person {
  const { privateKey, publicKey } = generateKey();
  return { signer: { key: privateKey, keyId: keyId(publicKey) }, approver: { name, key: jwkOf(publicKey) } };
}

export const anna: Person = person('anna');
export const ben: Person = person('ben');
export const cleo: Person = person('cleo');

export function profile(changes: Partial<SliceBreakGlass> = {}): SliceBreakGlass {
  return {
    id: 'stop-line',
    subjects: ['hmi-1'],
    interface: 'web',
    device: 'plc-1',
    operations: ['read', 'write'],
    binding: 'svid',
    approvers: [anna.approver, ben.approver, cleo.approver],
    approvals: 2,
    maxMinutes: 30,
    uses: 2,
    generation: 1,
    afterHardExpiry: false,
    place: 'break-glass/line.yaml:2',
    ...changes,
  };
}

let tickets = 0;

export function request(changes: Partial<BreakGlassRequest> = {}): BreakGlassRequest {
  tickets += 1;
  return {
    format: 1,
    ticket: tickets.toString(16).padStart(32, '0'),
    trustDomain: 'plant.example',
    device: 'plc-1',
    profile: 'stop-line',
    generation: 1,
    subject: 'hmi-1',
    operations: ['write'],
    minutes: 20,
    notBefore: start,
    notAfter: start + 8 * hour,
    requestedBy: 'dora',
    reason: 'the line does not stop by itself',
    ...changes,
  };
}

export async function ticket(
  changes: Partial<BreakGlassRequest> = {},
  approvers: readonly Person[] = [anna, ben],
): Promise<string> {
  let text = newBreakGlassRequest(request(changes));
  for (const { signer } of approvers) text = await approveBreakGlass(text, signer);
  return text;
}
