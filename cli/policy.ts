// edgeward policy init|lint|test|explain|who-can|unused|feed|build|publish|status
import type { Command } from 'commander';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AdminClient, adminCommand, withAdmin } from './admin-command.ts';
import { cliErrors } from './errors.ts';
import { createIo, type Io, table, timeText } from './io.ts';
import { registerPolicyFeed } from './policy-feed.ts';
import { registerPolicyLint } from './policy-lint.ts';
import { registerPolicyExplain } from './policy-explain.ts';
import { loadRooms, mustLoad } from './policy-rooms.ts';
import { registerPolicyTest } from './policy-test.ts';
import { registerPolicyUnused } from './policy-unused.ts';
import { registerPolicyWhoCan } from './policy-who-can.ts';

export function registerPolicy(program: Command): void {
  const policy = program
    .command('policy')
    .description('the policy repository: write, check, publish, see what is enforced');
  const local = (command: Command): Command => command.option('--json', 'one JSON document on standard output', false);

  local(policy.command('init'))
    .description('write a documented policy repository to start from')
    .argument('<dir>')
    .requiredOption('--trust-domain <name>', 'as in the control plane configuration')
    .action(async (directory: string, options: { trustDomain: string; json: boolean }) => {
      const { scaffold } = await loadRooms();
      const files = await scaffold(directory, { trustDomain: options.trustDomain });
      createIo(options.json).result(
        { ok: true, directory, files },
        `wrote ${files.length} files to ${directory}; next: edit them, edgeward policy lint ${directory}, git init and commit`,
      );
    });

  registerPolicyLint(policy);

  registerPolicyTest(policy);
  registerPolicyExplain(policy);
  registerPolicyWhoCan(policy);
  registerPolicyUnused(policy);
  registerPolicyFeed(policy);

  local(policy.command('build'))
    .description('write the slice of every device as JSON, to look at; nothing is signed')
    .argument('<dir>')
    .requiredOption('--out <dir>', 'directory for <device>.json')
    .action(async (directory: string, options: { out: string; json: boolean }) => {
      const rooms = await loadRooms();
      const slices = rooms.buildSlices(mustLoad(rooms, await rooms.readDirectory(directory)));
      mkdirSync(options.out, { recursive: true });
      for (const [device, slice] of slices)
        writeFileSync(join(options.out, `${device}.json`), `${JSON.stringify(slice, undefined, 2)}\n`);
      createIo(options.json).result(
        { ok: true, devices: [...slices.keys()] },
        `${slices.size} slices in ${options.out}`,
      );
    });

  adminCommand(policy.command('publish'))
    .description('build, sign and publish one git commit; the publisher key stays here')
    .argument('<source>', 'directory of a clean working tree, bare repository, or https, ssh or file address')
    .requiredOption('--key <file>', 'private publisher key (edgeward publisher create)')
    .option('--ref <ref>', 'branch, tag or commit (default HEAD)')
    .action(
      withAdmin(async ({ admin, io }, source: string, options: { key: string; ref?: string }) => {
        await publishPolicy(admin, io, source, options);
      }),
    );

  adminCommand(policy.command('status'))
    .description('what is published, and what each edge acknowledged as enforced')
    .action(
      withAdmin(async ({ admin, io }) => {
        const status = await admin.getPolicyStatus({});
        const rows = status.edges.map((edge) => [
          edge.deviceId,
          Number(edge.enforcedVersion) === 0 ? 'nothing' : Number(edge.enforcedVersion),
          Buffer.from(edge.enforcedDigest).toString('hex').slice(0, 16),
          timeText(edge.acknowledgedAtMs),
          `${edge.selfTestPassed}/${edge.selfTestVectors}`,
          edge.nackCode === '' ? '' : `refused version ${edge.nackVersion}: ${edge.nackCode} ${edge.nackMessage}`,
        ]);
        const head =
          Number(status.version) === 0
            ? 'nothing is published'
            : `version ${status.version}, commit ${status.commit.slice(0, 12)} by ${status.author}, ${timeText(status.publishedAtMs)}`;
        io.result(
          status,
          `${head}\n${table(['edge', 'enforces', 'digest', 'since', 'self-test', 'problem'], rows, 'no edges')}`,
        );
      }),
    );
}

async function publishPolicy(
  admin: AdminClient,
  io: Io,
  source: string,
  options: { key: string; ref?: string },
): Promise<void> {
  const [rooms, { keyId, loadPrivateKey }, { systemClock }] = await Promise.all([
    loadRooms(),
    import('../identity/index.ts'),
    import('../runtime/clock.ts'),
  ]);
  const keys = await loadPrivateKey(options.key);
  const result = await rooms.publish({
    source,
    ...(options.ref === undefined ? {} : { ref: options.ref }),
    publisherKey: { key: keys.privateKey, keyId: keyId(keys.publicKey) },
    clock: systemClock,
    findRegoCompiler: rooms.findRegoCompiler,
    temporaryDirectory: tmpdir(),
    onStep: (step) => io.note(`${step} …`),
    client: {
      begin: async () => {
        const { version, trustDomain } = await admin.beginPublication({});
        return { version: Number(version), trustDomain };
      },
      missing: async (digests) => {
        const asked = digests.map((digest) => new Uint8Array(Buffer.from(digest, 'hex')));
        const { missing } = await admin.findMissingChunks({ digests: asked });
        return missing.map((digest) => Buffer.from(digest).toString('hex'));
      },
      upload: async (chunk) => void (await admin.uploadChunk({ content: new Uint8Array(chunk.content) })),
      complete: async ({ version, release, manifests, parts }) => {
        const digests = parts.map((digest) => new Uint8Array(Buffer.from(digest, 'hex')));
        await admin.completePublication({
          version: BigInt(version),
          release,
          manifests: [...manifests],
          parts: digests,
        });
      },
    },
  });
  switch (result.outcome) {
    case 'published': {
      const { publication, warnings } = result;
      for (const warning of warnings) io.note(rooms.formatProblem(warning), true);
      io.result(
        { ok: true, ...publication },
        `published version ${publication.version}: commit ${publication.commit.slice(0, 12)} by ${publication.author}, ${publication.devices} devices, ${publication.uploaded} of ${publication.chunks} chunks uploaded, ${publication.tests} tests`,
      );
      return;
    }
    case 'invalid': {
      const errors = result.problems.filter(rooms.isError);
      throw cliErrors.error(
        'CLI_CHECK_FAILED',
        `not published: ${errors.length} errors:\n${errors.map(rooms.formatProblem).join('\n')}`,
      );
    }
    case 'tests-failed':
      throw cliErrors.error(
        'CLI_CHECK_FAILED',
        `not published: ${result.tests.failed} tests failed:\n${rooms.formatTestReport(result.tests, 'failed')}`,
      );
  }
}
