// What activation leaves in the audit: which bundle came into force, and which was refused and why.
import type { EmitEvent, NewEvent } from '../../audit/spool/index.ts';
import type { VerifiedBundle } from '../../policy/bundle/index.ts';
import { CodedError, formatPlace } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';

interface Told {
  readonly emit: EmitEvent;
  readonly log: Logger;
}

export type BundleSource = 'stream' | 'disk';

export function tellActivated(told: Told, bundle: VerifiedBundle, source: BundleSource): Promise<void> {
  const { version, commit } = bundle.manifest;
  return emit(told, {
    kind: 'policy',
    activity: 'activate',
    severity: 'info',
    bundle: bundle.digest,
    data: { version, commit, source },
  });
}

export function tellRefused(
  told: Told,
  refusal: { readonly source: BundleSource; readonly version: number | undefined; readonly error: unknown },
): Promise<void> {
  const { error, source, version } = refusal;
  // A link that broke while chunks were on their way is no attack, and comes again by itself.
  const interrupted =
    error instanceof CodedError && (error.status === 'UNAVAILABLE' || error.status === 'DEADLINE_EXCEEDED');
  const code = error instanceof CodedError ? error.code : '';
  const place = error instanceof CodedError && error.place !== undefined ? formatPlace(error.place) : '';
  return emit(told, {
    kind: 'policy',
    activity: 'refuse',
    severity: interrupted ? 'low' : 'high',
    data: {
      source,
      code,
      place,
      message: error instanceof Error ? error.message : String(error),
      ...(version === undefined ? {} : { version }),
    },
  });
}

/** Activation does not fail because its event does: the spool counts what it loses. */
async function emit({ emit: put, log }: Told, event: NewEvent): Promise<void> {
  try {
    await put(event);
  } catch (error) {
    log.error({ err: error, activity: event.activity }, 'an event of activation was lost');
  }
}
