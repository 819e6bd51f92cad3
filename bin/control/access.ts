// Who may call what: the interceptor that every service of the control plane runs behind. Identity from the client's
// certificate alone, role from the operators' table, limits from the table of rates; an RPC without a row is refused.
import type { SpiffeId, VerifiedSvid } from '../../identity/index.ts';
import { errorTable } from '../../runtime/errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { CallContext, Interceptor } from '../../runtime/grpc.ts';
import { createRateLimit } from '../../runtime/rate-limit.ts';
import { type Access, accessTable, type RateLimit, rateTable, type Role } from '../rpc-table.ts';

export const accessErrors = errorTable({
  ACCESS_NO_ROW: { status: 'PERMISSION_DENIED', remedy: 'Report this; every RPC needs a row in bin/rpc-table.ts.' },
  ACCESS_NO_IDENTITY: {
    status: 'UNAUTHENTICATED',
    remedy: 'Connect with a valid, unrevoked certificate of this trust domain.',
  },
  ACCESS_WRONG_IDENTITY: {
    status: 'PERMISSION_DENIED',
    remedy: 'Use a credential of the kind that this call needs (device or operator).',
  },
  ACCESS_ROLE_MISSING: {
    status: 'PERMISSION_DENIED',
    remedy: 'Ask an approver for an operator credential with one of the roles named.',
  },
  ACCESS_RATE_LIMITED: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Wait a second and try again; slow down automated calls.',
  },
});

export interface Caller {
  readonly svid: VerifiedSvid;
  readonly id: SpiffeId;
}

export interface AccessPorts {
  /** Verifies the client's chain, with revocation; throws a CodedError. */
  readonly verify: (chainDer: readonly Buffer[]) => VerifiedSvid;
  readonly rolesOf: (operator: string) => Promise<readonly Role[]>;
  /** Told of every refusal for a security reason. */
  readonly refused: (refusal: {
    rpc: string;
    /** SPIFFE ID, or the address of somebody who proved none. */
    caller: string;
    identified: boolean;
    code: string;
    message: string;
  }) => void;
  readonly clock: Clock;
}

export interface AccessControl {
  readonly interceptor: Interceptor;
  /** The verified caller of a call that passed; throws for an anonymous one. */
  readonly callerOf: (call: CallContext) => Caller;
}

export function createAccessControl(ports: AccessPorts): AccessControl {
  const callers = new WeakMap<CallContext, Caller>();
  const limit = createRateLimits(ports.clock);

  const interceptor: Interceptor = async (call) => {
    const rpc = `${call.method.parent.typeName}/${call.method.name}`;
    let caller: Caller | undefined;
    try {
      const access = accessTable[rpc];
      const rate = rateTable[rpc];
      if (access === undefined || rate === undefined) throw accessErrors.error('ACCESS_NO_ROW', `${rpc} has no row`);
      if (access.identity !== 'anonymous') {
        caller = identify(call);
        callers.set(call, caller);
        await authorizeCaller(access, caller, rpc);
      }
      if (rate.by === 'identity') limit(rpc, rate, caller?.id.uri ?? call.peer);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'INTERNAL';
      const message = error instanceof Error ? error.message : String(error);
      ports.refused({ rpc, caller: caller?.id.uri ?? call.peer, identified: caller !== undefined, code, message });
      throw error;
    }
  };

  function identify(call: CallContext): Caller {
    if (call.peerCertificate === undefined) throw accessErrors.error('ACCESS_NO_IDENTITY', 'no client certificate');
    const svid = ports.verify(call.peerChain);
    return { svid, id: svid.id };
  }

  async function authorizeCaller(
    access: Exclude<Access, { identity: 'anonymous' }>,
    caller: Caller,
    rpc: string,
  ): Promise<void> {
    if (caller.id.kind !== access.identity) {
      throw accessErrors.error('ACCESS_WRONG_IDENTITY', `${rpc} is for a ${access.identity}, not for ${caller.id.uri}`);
    }
    if (access.identity !== 'operator') return;
    const held = await ports.rolesOf(caller.id.name);
    if (!access.anyOf.some((role) => held.includes(role))) {
      throw accessErrors.error(
        'ACCESS_ROLE_MISSING',
        `${rpc} needs one of ${access.anyOf.join(', ')}; ${caller.id.name} has ${held.join(', ') || 'none'}`,
      );
    }
  }

  return {
    interceptor,
    callerOf: (call) => {
      const caller = callers.get(call);
      if (caller === undefined) throw accessErrors.error('ACCESS_NO_IDENTITY', 'this call has no verified caller');
      return caller;
    },
  };
}

/** One bucket a caller and RPC; throws ACCESS_RATE_LIMITED. Also used with the token id where that is what counts. */
export function createRateLimits(clock: Clock): (rpc: string, rate: RateLimit, key: string) => void {
  const limits = new Map<string, ReturnType<typeof createRateLimit>>();
  return (rpc, rate, key) => {
    const found = limits.get(rpc) ?? createRateLimit({ perSecond: rate.perSecond, burst: rate.burst }, clock);
    limits.set(rpc, found);
    const waitMs = found.take(key);
    if (waitMs > 0)
      throw accessErrors.error(
        'ACCESS_RATE_LIMITED',
        `more than ${rate.perSecond} calls a second of ${rpc}; wait ${Math.ceil(waitMs)} ms`,
      );
  };
}
