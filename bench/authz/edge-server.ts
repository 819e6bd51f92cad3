// The edge of the product with its enforcement as bin/edge/ composes it, started from a state directory. Beside its own socket
// it has one where a principal is believed without a certificate, so that a request can have the 800 bytes of the issue; the
// same decision, the same log.
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Spool } from '../../audit/spool/index.ts';
import { writeFileSync } from 'node:fs';
import { openEdgeCore } from '../../bin/edge/core.ts';
import { edgePaths, loadEdgeConfig } from '../../bin/edge/config.ts';
import { openControlAddresses } from '../../bin/edge/control-addresses.ts';
import { openEnforcement } from '../../bin/edge/enforcement.ts';
import { raiseFirstRules } from '../../bin/edge/first-rules.ts';
import { createDecide } from '../../enforcer/activation/index.ts';
import { createDecisionLog, serveAuthz } from '../../enforcer/authz/index.ts';
import { noRequestUsage } from '../../enforcer/request-usage.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { runTasks } from '../../runtime/tasks.ts';
import { nodeFiles } from '../../store/files.ts';
import { deviceOf } from './check-requests.ts';
import { ALLOWS_SAMPLED } from './policy.ts';
import type { Running, ServerTask } from './server.ts';

/** How often the cloud is said to have stored what is on disk: a spool that nobody empties is full after some seconds. */
const ACKNOWLEDGE_MS = 250;

/** One after the other, as the delivery does it. */
async function acknowledge(spool: Spool): Promise<void> {
  for (;;) {
    await delay(ACKNOWLEDGE_MS, undefined, { ref: false });
    await spool.acknowledged(spool.head().sequence).catch(() => undefined);
  }
}

export async function edgeServer({
  folder,
  state,
  transport,
}: Extract<ServerTask, { kind: 'edge' }>): Promise<Running> {
  const file = join(folder, 'edge.yaml');
  const lines = [
    `state: ${state}`,
    `run: ${folder}`,
    'control: {address: "127.0.0.1:1"}',
    'firewall: {mode: "off"}',
    `authz: {transport: ${transport}}`,
    'logLevel: error',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const config = await loadEdgeConfig(file);
  const log = createLogger({ name: 'bench', level: config.logLevel });
  const parts = { config, fs: nodeFiles, clock: systemClock, random: Math.random, log };
  const control = await openControlAddresses(parts);
  const rules = await raiseFirstRules({ ...parts, control });
  const core = await openEdgeCore(config, log);
  const enforcement = await openEnforcement(core, rules);
  if (!enforcement.serving()) throw new Error('the edge of the bench has no bundle in force');
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
  void acknowledge(spool);
  const { grpcSocket, forwardAuthSocket } = edgePaths(config);
  return {
    listening: { check: grpcSocket, checkByName, forwardAuth: forwardAuthSocket },
    settle: () => spool.flush(),
    logged: () => ({ logged: spool.head().sequence, lost: spool.status().lost }),
  };
}
