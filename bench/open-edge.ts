// An edge of the product, opened from a state directory as bin/edge/ composes it, in the process that measures it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Spool } from '../audit/spool/index.ts';
import { edgePaths, loadEdgeConfig } from '../bin/edge/config.ts';
import { openControlAddresses } from '../bin/edge/control-addresses.ts';
import { type EdgeCore, openEdgeCore } from '../bin/edge/core.ts';
import { type Enforcement, openEnforcement } from '../bin/edge/enforcement.ts';
import { raiseFirstRules } from '../bin/edge/first-rules.ts';
import { systemClock } from '../runtime/clock.ts';
import { createLogger, type Logger } from '../runtime/log.ts';
import { nodeFiles } from '../store/files.ts';

export interface OpenedEdge {
  readonly core: EdgeCore;
  readonly enforcement: Enforcement;
  readonly paths: ReturnType<typeof edgePaths>;
  readonly log: Logger;
}

/** Throws unless a bundle is in force. `lines` are keys of edge.yaml beside those of folder, state and control plane. */
export async function openEdge(folder: string, state: string, lines: readonly string[]): Promise<OpenedEdge> {
  const file = join(folder, 'edge.yaml');
  const all = [`state: ${state}`, `run: ${folder}`, 'control: {address: "127.0.0.1:1"}', 'logLevel: error', ...lines];
  writeFileSync(file, `${all.join('\n')}\n`);
  const config = await loadEdgeConfig(file);
  const log = createLogger({ name: 'bench', level: config.logLevel });
  const parts = { config, fs: nodeFiles, clock: systemClock, random: Math.random, log };
  const control = await openControlAddresses(parts);
  const rules = await raiseFirstRules({ ...parts, control });
  const core = await openEdgeCore(config, log);
  const enforcement = await openEnforcement(core, rules);
  if (!enforcement.serving()) throw new Error('the edge of the bench has no bundle in force');
  void acknowledge(core.spool);
  return { core, enforcement, paths: edgePaths(config), log };
}

/** How often the cloud is said to have stored what is on disk: a spool that nobody empties is full after some seconds. */
const ACKNOWLEDGE_MS = 250;

/** One after the other, as the delivery does it. */
async function acknowledge(spool: Spool): Promise<void> {
  for (;;) {
    await delay(ACKNOWLEDGE_MS, undefined, { ref: false });
    await spool.acknowledged(spool.head().sequence).catch(() => undefined);
  }
}
