// A control plane on loopback and the edgeward command, as a person runs it: what went in, what came out.
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../support/free-ports.ts';

export const edgewardProgram = join(import.meta.dirname, '../../bin/edgeward');

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder of its own to run commands in; no credential and no configuration of this machine is seen. */
export class Desk implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'ewc-'));
  readonly environment: NodeJS.ProcessEnv;

  constructor() {
    const { PATH } = process.env;
    this.environment = { PATH, HOME: this.folder, EDGEWARD_PASSPHRASE: 'correct horse battery staple' };
  }

  /** Runs `edgeward …` in the folder. */
  run(args: readonly string[], input = ''): Ran {
    const options = { cwd: this.folder, env: this.environment, input, encoding: 'utf8' as const, timeout: 30_000 };
    const { status, stdout, stderr } = spawnSync(edgewardProgram, args, options);
    return { code: status, stdout, stderr };
  }

  /** The one document that `edgeward … --json` writes; anything else on standard output is a fault. */
  json(args: readonly string[], input = ''): { code: number | null; document: Record<string, unknown> } {
    const { code, stdout } = this.run([...args, '--json'], input);
    if (!/^[^\n]+\n$/.test(stdout)) throw new Error(`not one line: ${JSON.stringify(stdout)}`);
    return { code, document: JSON.parse(stdout) as Record<string, unknown> };
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A desk beside a control plane that runs; `admin` is its first credential. */
export class Site extends Desk {
  readonly admin = join(this.folder, 'control/admin');
  #control: ChildProcess | undefined;

  async start(): Promise<this> {
    const [enrolment, edges, diagnostics] = await freePorts(3);
    const addresses = `{enrolment: "127.0.0.1:${enrolment}", edges: "127.0.0.1:${edges}"}`;
    this.write(
      'control.yaml',
      `trustDomain: plant.example\nstate: ${this.folder}/control\nlisten: ${addresses}\nadvertise: ${addresses}\ndiagnostics: ${diagnostics}\n`,
    );
    this.environment['EDGEWARD_IDENTITY'] = this.admin;
    this.must(['publisher', 'create', 'publisher.pem']);
    this.must(['control', 'init', '--config', 'control.yaml', '--publisher', 'publisher.pem.pub']);
    await this.startControl();
    return this;
  }

  async startControl(): Promise<void> {
    const child = spawn(edgewardProgram, ['control', 'run', '--config', 'control.yaml'], {
      cwd: this.folder,
      env: this.environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#control = child;
    let output = '';
    for await (const chunk of child.stderr) {
      output += String(chunk);
      if (output.includes('control plane runs')) break;
    }
    if (!output.includes('control plane runs')) throw new Error(output);
  }

  async stopControl(): Promise<void> {
    const child = this.#control;
    if (child === undefined || child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }

  must(args: readonly string[], input = ''): string {
    const { code, stdout, stderr } = this.run(args, input);
    if (code !== 0) throw new Error(`edgeward ${args.join(' ')}: ${code} ${stderr}`);
    return stdout;
  }

  /** The scaffolded policy as a git repository, published. */
  publish(): void {
    this.must(['policy', 'init', 'policy', '--trust-domain', 'plant.example']);
    const git = (...args: readonly string[]): void =>
      void spawnSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@plant.example', ...args], {
        cwd: join(this.folder, 'policy'),
        env: this.environment,
      });
    git('init', '-q');
    git('add', '-A');
    git('commit', '-qm', 'first');
    this.must(['policy', 'publish', 'policy', '--key', 'publisher.pem']);
  }
}
