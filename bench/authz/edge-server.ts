// The edge of the product with its enforcement as bin/edge/ composes it, started from a state directory. Beside its own socket
// it has one where a principal is believed without a certificate, so that a request can have the 800 bytes of the issue; the
// same decision, the same log.
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { createDecide } from '../../enforcer/activation/index.ts';
import { createDecisionLog, serveAuthz } from '../../enforcer/authz/index.ts';
import { noRequestUsage } from '../../enforcer/request-usage.ts';
import { systemClock } from '../../runtime/clock.ts';
import { runTasks } from '../../runtime/tasks.ts';
import { openEdge } from '../open-edge.ts';
import { deviceOf } from './check-requests.ts';
import { ALLOWS_SAMPLED } from './policy.ts';
import type { Running, ServerTask } from './server.ts';

export async function edgeServer({
  folder,
  state,
  transport,
}: Extract<ServerTask, { kind: 'edge' }>): Promise<Running> {
  const lines = ['firewall: {mode: "off"}', `authz: {transport: ${transport}}`];
  const { core, enforcement, paths, log } = await openEdge(folder, state, lines);
  const { spool, trusted } = core;
  const checkByName = join(folder, 'by-name.sock');
  const decisions = createDecisionLog(core.emit, {
    clock: systemClock,
    random: randomBytes,
    allowsSampled: () => ALLOWS_SAMPLED,
    onLost: () => undefined,
  });
  await serveAuthz(
    {
      decide: createDecide(
        () => enforcement.activation.current(),
        () => trusted.time(),
      ),
      usage: () => noRequestUsage,
      identify: ({ principal = '' }) => {
        const id = deviceOf(principal);
        return { id, binding: 'svid', ...enforcement.orders.subjectState(id) };
      },
      log: decisions,
      auditDurable: () => false,
      now: () => trusted.now(),
    },
    enforcement.serving,
    { grpc: [`unix:${checkByName}`], forwardAuthSocket: undefined, transport },
  );
  void runTasks(new AbortController().signal, { ...enforcement.tasks, byName: decisions.task }, { drainMs: 0, log });
  const { grpcSocket, forwardAuthSocket } = paths;
  return {
    listening: { check: grpcSocket, checkByName, forwardAuth: forwardAuthSocket },
    settle: () => spool.flush(),
    logged: () => ({ logged: spool.head().sequence, lost: spool.status().lost }),
  };
}
