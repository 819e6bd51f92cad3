// Starts, kills and stops enforcers as processes (enforcer-process.ts).
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CheckTransport } from '../../enforcer/authz/index.ts';
import type { Plant } from './plant.ts';

export interface Enforcers extends AsyncDisposable {
  /** Resolves when it listens. */
  readonly start: (address: string) => Promise<ChildProcess>;
  /** Resolves when it is gone. */
  readonly kill: (enforcer: ChildProcess) => Promise<void>;
  /** Paths that the engine allowed, of every process, the killed ones too. */
  readonly allowed: () => ReadonlySet<string>;
}

export function enforcersOf(plant: Plant, transport: CheckTransport = 'h2'): Enforcers {
  const record = join(plant.folder, 'allowed');
  const running = new Set<ChildProcess>();
  writeFileSync(join(plant.folder, 'root.der'), plant.authority.root);
  writeFileSync(join(plant.folder, 'intermediate.der'), plant.authority.intermediate);
  const kill = async (enforcer: ChildProcess): Promise<void> => {
    if (!running.delete(enforcer)) return;
    const ended = once(enforcer, 'exit');
    enforcer.kill('SIGKILL');
    await ended;
  };
  return {
    start: async (address) => {
      const program = join(import.meta.dirname, 'enforcer-process.ts');
      const enforcer = spawn(process.execPath, [program, address, plant.folder, record, transport], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      running.add(enforcer);
      const first = await Promise.race([once(enforcer.stdout, 'data'), once(enforcer, 'exit')]);
      if (!String(first[0]).startsWith('listening')) throw new Error('the enforcer did not start');
      return enforcer;
    },
    kill,
    allowed: () => new Set(existsSync(record) ? readFileSync(record, 'utf8').split('\n') : []),
    async [Symbol.asyncDispose]() {
      await Promise.all([...running].map(kill));
    },
  };
}
