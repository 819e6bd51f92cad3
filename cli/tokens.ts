// edgeward token create|list|revoke
import type { Command } from 'commander';
import { adminCommand, withAdmin } from './admin-command.ts';
import { table, timeText } from './io.ts';
import { wholeNumber } from './options.ts';

export function registerTokens(program: Command): void {
  const token = program.command('token').description('join tokens: one line that lets one device enroll once');

  adminCommand(token.command('create'))
    .description('create a join token and print its line; it is shown only once')
    .argument('<device>', 'device id of the inventory')
    .option('--ttl <seconds>', 'seconds until it expires (default 3600, at most 86400)', wholeNumber(1, 86_400), 0)
    .option('--reimage', 'the device was re-imaged and comes back with a new key', false)
    .action(
      withAdmin(async ({ admin, io }, device: string, options: { ttl: number; reimage: boolean }) => {
        const created = await admin.createToken({
          deviceId: device,
          ttlSeconds: options.ttl,
          reimage: options.reimage,
        });
        io.note(
          `for ${device}, until ${timeText(created.expiresAtMs)}; on the device: edgeward enroll --state DIR < line`,
          true,
        );
        io.result(
          { tokenId: created.tokenId, device, joinLine: created.joinLine, expiresAt: created.expiresAtMs },
          created.joinLine,
        );
      }),
    );

  adminCommand(token.command('list'))
    .description('list tokens; secrets are not kept and cannot be shown')
    .action(
      withAdmin(async ({ admin, io }) => {
        const { tokens } = await admin.listTokens({});
        const rows = tokens.map((row) => [
          row.tokenId,
          row.deviceId,
          row.state,
          timeText(row.expiresAtMs),
          row.createdBy,
        ]);
        io.result({ tokens }, table(['token', 'device', 'state', 'expires', 'created by'], rows, 'no tokens'));
      }),
    );

  adminCommand(token.command('revoke'))
    .description('revoke an open token')
    .argument('<token>', 'token id')
    .action(
      withAdmin(async ({ admin, io }, tokenId: string) => {
        await admin.revokeToken({ tokenId });
        io.result({ ok: true, tokenId }, `revoked ${tokenId}`);
      }),
    );
}
