// What every command that asks the control plane shares: where the operator's credential is, and one client for it.
import { createPrivateKey } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { z } from 'zod';
import { AdminService } from '../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { createGrpcClient } from '../runtime/grpc.ts';
import { CodedError } from '../runtime/errors.ts';
import { certificatesFromPem, controlVerifier, parseCertificate } from '../identity/index.ts';
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
    const directory = credentialDirectory(options.identity);
    const admin = connectAdmin(directory, options.control);
    try {
      await action({ admin, io: createIo(options.json) }, ...(all.slice(0, -1) as Args));
    } catch (error) {
      throw unreachable(error, options.control ?? addressIn(directory));
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
  const control = parsed(join(directory, 'control.json'), () => controlFile.parse(JSON.parse(read('control.json'))));
  const [roots, key, chain] = [read('roots.pem'), read('key.pem'), read('chain.pem')];
  const leaf = parsed(join(directory, 'chain.pem'), () =>
    parseCertificate(certificatesFromPem(chain)[0] ?? Buffer.alloc(0)),
  );
  parsed(join(directory, 'key.pem'), () => createPrivateKey(key));
  if (leaf.notAfter < Date.now()) {
    const until = new Date(leaf.notAfter).toISOString();
    throw cliErrors.error('CLI_CREDENTIAL_INVALID', `the operator credential in ${directory} expired at ${until}`);
  }
  const verifyServer = parsed(join(directory, 'roots.pem'), () => controlVerifier(control.trustDomain, roots));
  return createGrpcClient(AdminService, address ?? control.address, { key, chain, roots, verifyServer });
}

const addressIn = (directory: string): string =>
  controlFile.parse(JSON.parse(readFileSync(join(directory, 'control.json'), 'utf8'))).address;

/** A part of a credential; what is wrong with it is said with its file. */
function parsed<T>(file: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof CodedError && cause.code.startsWith('CLI_')) throw cause;
    throw cliErrors.error('CLI_CREDENTIAL_INVALID', 'not a file of an operator credential', { place: { file }, cause });
  }
}

/** Says which address did not answer and, where the system said it, why. */
function unreachable(error: unknown, address: string): unknown {
  if (!(error instanceof CodedError) || error.code !== 'RPC_UNAVAILABLE') return error;
  const reason = /ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|Name resolution failed/.exec(
    error.message,
  )?.[0];
  const why = reason === undefined ? '' : ` (${reason})`;
  return cliErrors.error('CLI_CONTROL_UNREACHABLE', `the control plane at ${address} cannot be reached${why}`, {
    cause: error,
  });
}
