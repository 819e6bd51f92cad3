// Debian's mosquitto, a broker that knows nothing of Edgeward: MQTT 3.1, 3.1.1 and 5 on one listener, its configuration in a
// folder of its own, everything it says kept. Dynamic security is its plugin for accounts and access lists.
import { spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-ports.ts';
import { start } from './netns-process.ts';

const plugin = 'mosquitto_dynamic_security.so';

/** Where the plugin is, or undefined. */
export function findDynamicSecurity(): string | undefined {
  const folders = ['/usr/lib', '/usr/local/lib'].filter((folder) => existsSync(folder));
  const triplets = existsSync('/usr/lib') ? readdirSync('/usr/lib').filter((name) => name.endsWith('-linux-gnu')) : [];
  return [...triplets.map((name) => join('/usr/lib', name)), ...folders]
    .map((folder) => join(folder, plugin))
    .find((path) => existsSync(path));
}

/** What starts with the plugin: the account that may change the rest. */
export const dynamicSecurityAdmin = { userName: 'admin', password: 'only-in-this-test' } as const;

export interface MosquittoOptions {
  /** Default 127.0.0.1. */
  readonly address?: string;
  /** Default: a free one of this host. */
  readonly port?: number;
  /** Runs it elsewhere: `(argv) => net.commandOn('broker', argv)`. */
  readonly on?: (argv: readonly string[]) => readonly string[];
  /** More lines of mosquitto.conf(5). */
  readonly config?: readonly string[];
  /** With the plugin: `true` begins with the administrator alone, text is the plugin's file as it begins. */
  readonly dynamicSecurity?: boolean | string;
  /** `all` (default) logs every packet; `few` is for measuring. */
  readonly log?: 'all' | 'few';
}

export interface Mosquitto extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  readonly pid: number;
  /** Its log so far. */
  log(): string;
  /** Resolves as soon as the log has a match, also an earlier one; rejects after `timeoutMs` (default 10,000). */
  waitForLog(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** The plugin's file, which the broker rewrites; undefined without the plugin. */
  readonly dynamicSecurityFile: string | undefined;
  /** That file as it is now, parsed. */
  dynamicSecurity(): Promise<unknown>;
  /** Ends it as an operator would, with SIGTERM. */
  stop(): Promise<void>;
}

/** Starts a broker without persistence that lets everybody in, unless the plugin or `config` say otherwise. */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const { address = '127.0.0.1', on = (argv) => argv } = options;
  const port = options.port ?? (await freePort());
  const folder = await mkdtemp(join(tmpdir(), 'edgeward-mosquitto-'));
  const children = new Set<ChildProcess>();
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const security = await prepareSecurity(folder, options.dynamicSecurity ?? false);
    const configuration = join(folder, 'mosquitto.conf');
    const lines = [
      `listener ${port} ${address}`,
      // It would change to a user that cannot read the folder.
      ...(process.getuid?.() === 0 ? ['user root'] : []),
      'persistence false',
      'log_dest stderr',
      ...(options.log === 'few' ? ['log_type error', 'log_type warning', 'log_type information'] : ['log_type all']),
      ...(security === undefined
        ? ['allow_anonymous true']
        : ['per_listener_settings false', `plugin ${security.plugin}`, `plugin_opt_config_file ${security.file}`]),
      ...(options.config ?? []),
    ];
    await writeFile(configuration, `${lines.join('\n')}\n`);
    const argv = [...on(['mosquitto', '-c', configuration])];
    const broker = start(argv, children, { env: { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } }, false);
    await broker.waitFor(/mosquitto version \S+ running/);
    let stopped: Promise<void> | undefined;
    const stop = (): Promise<void> => (stopped ??= broker.stop().then(remove));
    return {
      address,
      port,
      pid: broker.pid,
      log: () => broker.output(),
      waitForLog: (pattern, timeoutMs) => broker.waitFor(pattern, timeoutMs),
      dynamicSecurityFile: security?.file,
      dynamicSecurity: async () => {
        if (security === undefined) throw new Error('this broker runs without dynamic security');
        return JSON.parse(await readFile(security.file, 'utf8'));
      },
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    for (const child of children) child.kill('SIGKILL');
    await remove();
    throw error;
  }
}

async function prepareSecurity(
  folder: string,
  wanted: boolean | string,
): Promise<{ plugin: string; file: string } | undefined> {
  if (wanted === false) return undefined;
  const found = findDynamicSecurity();
  if (found === undefined) throw new Error(`no ${plugin} here (Debian package mosquitto)`);
  const file = join(folder, 'dynamic-security.json');
  if (typeof wanted === 'string') await writeFile(file, wanted);
  else {
    const { userName, password } = dynamicSecurityAdmin;
    const made = spawnSync('mosquitto_ctrl', ['dynsec', 'init', file, userName, password], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`mosquitto_ctrl dynsec init: ${made.stderr || made.error?.message}`);
  }
  return { plugin: found, file };
}
