// The header grpc-timeout (gRPC over HTTP/2, "Timeout"): at most eight digits and a unit.

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds; undefined when it is malformed. */
export function parseGrpcTimeout(value: string): number | undefined {
  const unit = /^[0-9]{1,8}[HMSmun]$/.test(value) ? unitMs[value.at(-1) ?? ''] : undefined;
  return unit === undefined ? undefined : Number(value.slice(0, -1)) * unit;
}
