// An operator on the control plane's host: one program that stays, so that asking costs a round trip and no start of Node.
import { join } from 'node:path';
import { lineRequests } from '../../test/support/line-requests.ts';
import type { Network } from '../../test/support/netns.ts';

export type OperatorRequest =
  | { readonly op: 'create-token'; readonly device: string; readonly reimage: boolean }
  | { readonly op: 'device'; readonly device: string }
  | { readonly op: 'release'; readonly device: string; readonly reason: string; readonly full: boolean }
  | { readonly op: 'policy-status' };

export interface DeviceView {
  readonly state: string;
  readonly attestationClass: string;
}

export interface PolicyView {
  readonly version: number;
  /** Version that each edge has acknowledged. */
  readonly enforced: Readonly<Record<string, number>>;
}

export interface Operator {
  /** The join line. */
  createToken(device: string, reimage: boolean): Promise<string>;
  device(device: string): Promise<DeviceView>;
  /** `full` lifts what a re-imaged device may not do yet. */
  release(device: string, reason: string, full: boolean): Promise<void>;
  policyStatus(): Promise<PolicyView>;
}

export function openOperator(net: Pick<Network<'control'>, 'spawn'>, credential: string): Operator {
  const program = join(import.meta.dirname, 'operator-agent.ts');
  const { child } = net.spawn('control', [process.execPath, program, credential]);
  const requests = lineRequests(child, 'the operator program');
  const ask = async <T>(request: OperatorRequest): Promise<T> => (await requests(request)) as T;
  return {
    createToken: async (device, reimage) => await ask({ op: 'create-token', device, reimage }),
    device: async (device) => await ask({ op: 'device', device }),
    release: async (device, reason, full) => await ask({ op: 'release', device, reason, full }),
    policyStatus: async () => await ask({ op: 'policy-status' }),
  };
}
