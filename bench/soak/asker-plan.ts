// What the load (asker.ts) is told and what it leaves behind.
export interface AskerPlan {
  readonly targets: readonly {
    readonly edge: string;
    /** Path of the edge's forward-auth socket. */
    readonly socket: string;
    /** SVID of the device that holds the grant, and its address. */
    readonly chain: string;
    readonly address: string;
    readonly perSecond: number;
  }[];
  /** File of the report. */
  readonly out: string;
}

export interface AskerReport {
  readonly startedAt: number;
  /** When the last request was sent. */
  endedAt: number;
  readonly targets: Record<
    string,
    {
      /** Ids that were answered with 200: their events are acknowledged. */
      readonly allowed: number[];
      /** When each of them was asked, milliseconds. */
      readonly allowedAt: number[];
      /** Everything else that became of a request. */
      readonly failed: { readonly at: number; readonly ms: number; readonly saw: string }[];
    }
  >;
}
