// edgeward operator issue, edgeward publisher create|add
import type { Command } from 'commander';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificatesToPem, createCsr, exportPkcs8Pem, generateKey, jwkOf, keyId } from '../identity/index.ts';
import { adminCommand, credentialDirectory, withAdmin } from './admin-command.ts';
import { requireEmpty, writeCredential } from './credential.ts';
import { cliErrors } from './errors.ts';
import { createIo } from './io.ts';
import { wholeNumber } from './options.ts';

interface IssueOptions {
  readonly roles: string;
  readonly out: string;
  readonly ttl: number;
  readonly identity?: string;
}

export function registerOperators(program: Command): void {
  adminCommand(program.command('operator').description('people and programs that administer').command('issue'))
    .description('issue a credential: the key is made here and never leaves')
    .argument('<name>')
    .requiredOption('--roles <list>', 'comma separated: viewer, operator, approver, publisher, auditor')
    .requiredOption('--out <dir>', 'directory for key, chain, roots and address')
    .option('--ttl <seconds>', 'seconds until it expires (default 8 hours, at most 24)', wholeNumber(1, 86_400), 0)
    .action(
      withAdmin(async ({ admin, io }, name: string, options: IssueOptions) => {
        requireEmpty(options.out);
        const keys = generateKey();
        const issued = await admin.issueOperator({
          name,
          roles: options.roles.split(','),
          csrDer: createCsr(keys),
          ttlSeconds: options.ttl,
        });
        const own = credentialDirectory(options.identity);
        writeCredential(options.out, {
          key: exportPkcs8Pem(keys.privateKey),
          chain: certificatesToPem(issued.certificateChainDer),
          roots: readFileSync(join(own, 'roots.pem'), 'utf8'),
          control: readFileSync(join(own, 'control.json'), 'utf8'),
        });
        io.result(
          { ok: true, spiffeId: issued.spiffeId, directory: options.out },
          `${issued.spiffeId} in ${options.out}`,
        );
      }),
    );

  const publisher = program
    .command('publisher')
    .description('keys that sign policy; their private halves stay with who publishes');

  publisher
    .command('create')
    .description('make a publisher key pair: FILE (private, 0600) and FILE.pub')
    .argument('<file>')
    .option('--json', 'one JSON document on standard output', false)
    .action((file: string, options: { json: boolean }) => {
      if (existsSync(file)) throw cliErrors.error('CLI_TARGET_EXISTS', `${file} exists`);
      const keys = generateKey();
      writeFileSync(file, exportPkcs8Pem(keys.privateKey), { mode: 0o600, flag: 'wx' });
      writeFileSync(`${file}.pub`, `${JSON.stringify(jwkOf(keys.publicKey))}\n`, { flag: 'w' });
      const id = keyId(keys.publicKey);
      createIo(options.json).result(
        { ok: true, keyId: id, file, publicFile: `${file}.pub` },
        `publisher key ${id}: ${file} (keep it), ${file}.pub`,
      );
    });

  adminCommand(publisher.command('add'))
    .description('let the edges accept policy signed by this key')
    .argument('<file.pub>')
    .action(
      withAdmin(async ({ admin, io }, file: string) => {
        const { keyId: id } = await admin.addPublisher({ publicKeyJwk: readFileSync(file, 'utf8').trim() });
        io.result({ ok: true, keyId: id }, `added publisher ${id}`);
      }),
    );
}
