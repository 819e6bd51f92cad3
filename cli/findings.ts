// edgeward finding list|show|review, edgeward response list
import { type Command, Option } from 'commander';
import { adminCommand, withAdmin } from './admin-command.ts';
import { cliErrors } from './errors.ts';
import { table, timeText } from './io.ts';
import { notBlank } from './options.ts';
import { registerBlocks } from './sites.ts';

export function registerFindings(program: Command): void {
  const finding = program.command('finding').description('what detection noticed');

  adminCommand(finding.command('list'))
    .description('list findings, newest first')
    .addOption(new Option('--state <state>', 'only those').choices(['open', 'closed']))
    .action(
      withAdmin(async ({ admin, io }, options: { state?: string }) => {
        const { findings } = await admin.listFindings({ state: options.state ?? '', limit: 100 });
        const rows = findings.map((entry) => [
          entry.id,
          timeText(entry.foundAtMs),
          entry.level,
          entry.deviceId,
          entry.title,
          entry.count,
          entry.state,
        ]);
        io.result(
          { findings },
          table(['finding', 'found', 'level', 'device', 'what', 'events', 'state'], rows, 'no findings'),
        );
      }),
    );

  adminCommand(finding.command('show'))
    .description('show one finding with the log indices of its evidence')
    .argument('<finding>')
    .action(
      withAdmin(async ({ admin, io }, id: string) => {
        const { findings } = await admin.listFindings({ limit: 1000 });
        const found = findings.find((entry) => entry.id === id);
        if (found === undefined)
          throw cliErrors.error('CLI_NOT_FOUND', `no finding ${id}`, {
            remedy: 'List them with: edgeward finding list',
          });
        const lines = [
          `${found.title} (${found.ruleId}, ${found.level}) on ${found.deviceId}: ${found.state}`,
          `first event ${timeText(found.firstEventMs)}, found ${timeText(found.foundAtMs)}, ${found.count} events`,
          `evidence: log indices ${found.evidence.join(', ')}`,
          `tags: ${found.tags.join(', ') || '-'}`,
          ...(found.closedWhy === '' ? [] : [`closed: ${found.closedWhy}`]),
        ];
        io.result({ finding: found }, lines.join('\n'));
      }),
    );

  adminCommand(finding.command('review'))
    .description('close a finding about break-glass; by an auditor who neither asked for the opening nor approved it')
    .argument('<finding>')
    .requiredOption('--note <text>', 'what the review found', notBlank)
    .action(
      withAdmin(async ({ admin, io }, id: string, options: { note: string }) => {
        await admin.reviewFinding({ findingId: id, note: options.note });
        io.result(
          { ok: true, finding: id },
          `${id} is reviewed; the quota comes back with the next generation of its profile`,
        );
      }),
    );

  const response = program.command('response').description('what playbooks did, and addresses that edges block');
  registerBlocks(response);
  adminCommand(response.command('list'))
    .description('list actions of playbooks, newest first')
    .action(
      withAdmin(async ({ admin, io }) => {
        const { responses } = await admin.listResponses({});
        const rows = responses.map((entry) => [
          timeText(entry.atMs),
          entry.playbookId,
          entry.action,
          entry.deviceId,
          entry.state,
          entry.why,
        ]);
        io.result({ responses }, table(['at', 'playbook', 'action', 'device', 'state', 'why'], rows, 'no responses'));
      }),
    );
}
