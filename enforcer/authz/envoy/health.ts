// gRPC health (grpc.health.v1): NOT_SERVING without a verified, unexpired bundle, so that a proxy stops asking an
// enforcer that could only deny, and an operator sees it.
import { setTimeout as delay } from 'node:timers/promises';
import {
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Status,
  HealthCheckResponseSchema,
} from '../../../proto/gen/grpc/health/v1/health_pb.ts';
import { create } from '@bufbuild/protobuf';

/** Services that the enforcer answers for; the empty name is the whole server. */
const services = new Set(['', 'envoy.service.auth.v3.Authorization']);
const watchIntervalMs = 250;

export function healthStatus(service: string, serving: () => boolean): Status | undefined {
  if (!services.has(service)) return undefined;
  return serving() ? Status.SERVING : Status.NOT_SERVING;
}

/** Sends the status at once and then on every change, until the caller goes. */
export async function* watchHealth(
  service: string,
  serving: () => boolean,
  signal: AbortSignal,
): AsyncGenerator<HealthCheckResponse> {
  let last: Status | undefined;
  while (!signal.aborted) {
    const status = healthStatus(service, serving) ?? Status.SERVICE_UNKNOWN;
    if (status !== last) yield create(HealthCheckResponseSchema, { status });
    last = status;
    await delay(watchIntervalMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}
