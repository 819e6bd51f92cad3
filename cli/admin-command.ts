// What every command that asks the control plane shares: where the operator's credential is, and one client for it.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { z } from 'zod';
import { AdminService } from '../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { createGrpcClient } from '../runtime/grpc.ts';
import { controlVerifier } from '../identity/index.ts';
import { cliErrors } from './errors.ts';
import { createIo, type Io } from './io.ts';

export interface AdminContext {
  readonly admin: AdminClient;
  readonly io: Io;
}
export type AdminClient = ReturnType<typeof connectAdmin>;

export function adminCommand(command: Command): Command {
  return command
    .option('--identity <dir>', 'operator credential (default $EDGEWARD_IDENTITY or ~/.config/edgeward)')
    .option('--control <host:port>', 'control plane (default: the address in the credential)')
    .option('--json', 'one JSON document on standard output', false);
}

/** Wraps an action: connects, runs it, always closes the connection. */
export function withAdmin<Args extends unknown[]>(
  action: (context: AdminContext, ...args: Args) => Promise<void>,
): (...args: [...Args, Command]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const options = command.opts<{ identity?: string; control?: string; json: boolean }>();
    const admin = connectAdmin(credentialDirectory(options.identity), options.control);
    try {
      await action({ admin, io: createIo(options.json) }, ...(all.slice(0, -1) as Args));
    } finally {
      admin.close();
    }
  };
}

export function credentialDirectory(option: string | undefined): string {
  return (
    option ??
    process.env['EDGEWARD_IDENTITY'] ??
    join(process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'), 'edgeward')
  );
}

const controlFile = z.strictObject({ address: z.string(), trustDomain: z.string() });

export function connectAdmin(directory: string, address?: string) {
  const read = (name: string): string => {
    const path = join(directory, name);
    if (!existsSync(path)) throw cliErrors.error('CLI_NO_CREDENTIAL', `no operator credential: ${path} is missing`);
    return readFileSync(path, 'utf8');
  };
  const control = controlFile.parse(JSON.parse(read('control.json')));
  const roots = read('roots.pem');
  return createGrpcClient(AdminService, address ?? control.address, {
    key: read('key.pem'),
    chain: read('chain.pem'),
    roots,
    verifyServer: controlVerifier(control.trustDomain, roots),
  });
}
