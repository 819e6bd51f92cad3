// AuthZEN on the edge: enforcement points of somebody else's, and what they may say of the devices that they authenticate.
import { randomBytes } from 'node:crypto';
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { Active } from '../../enforcer/activation/index.ts';
import { type AuthzenServer, type AuthzPorts, createPageTokens, serveAuthzen } from '../../enforcer/authz/index.ts';
import { type Engine, rowOf } from '../../policy/engine/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { readSecret } from '../../runtime/config.ts';
import { type EdgeConfig, edgePaths } from './config.ts';
import type { Subjects } from './subjects.ts';

/** The ports of the other enforcement points, but for who the subject is. Undefined where the configuration has none. */
export async function openAuthzen(
  config: EdgeConfig,
  ports: Omit<AuthzPorts, 'identify'>,
  subjects: Pick<Subjects, 'fromAssertion'>,
  current: () => Active<Engine> | undefined,
  emit: EmitEvent,
): Promise<AuthzenServer | undefined> {
  const { authzen, socketMode } = config.authz;
  if (authzen === undefined) return undefined;
  const { tcp, tokenFile, binding, asserts, custom, url } = authzen;
  return await serveAuthzen(
    {
      ...ports,
      identify: (peer) => subjects.fromAssertion(peer, binding),
      inForce: () => {
        const active = current();
        return active && { slice: active.bundle.slice, engine: active.engine };
      },
      isContained: (device) => rowOf(subjects.fromAssertion({ asserted: device }, binding).state).contained,
      emit,
      tokens: createPageTokens(randomBytes(32)),
    },
    { asserts, custom, url, clock: systemClock },
    {
      socket: authzen.socket ?? edgePaths(config).authzenSocket,
      socketMode: Number.parseInt(socketMode, 8),
      tcp: tcp === undefined ? undefined : { address: tcp, token: await readSecret({ file: tokenFile }) },
    },
  );
}
