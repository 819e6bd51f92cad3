// What a prober (prober.ts) is told and what it says.
export interface ProbeTask {
  readonly name: string;
  readonly kind: 'tcp' | 'https' | 'modbus-read' | 'modbus-write';
  readonly address: string;
  readonly port: number;
  readonly perSecond: number;
  /** https only. */
  readonly path?: string;
  readonly keepAlive?: boolean;
  readonly identity?: { readonly chain: string; readonly key: string };
}

export interface ProbeLine {
  /** Wall clock milliseconds. */
  readonly at: number;
  readonly ms: number;
  readonly task: string;
  readonly accepted: boolean;
  /** Status, error or answer, for people. */
  readonly saw: string;
}
