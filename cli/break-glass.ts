// edgeward break-glass key|request|approve|show|use: everything but `use` runs on people's own machines, offline.
import type { Command } from 'commander';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { exportPkcs8Pem, generateKey, jwkOf, keyId, loadPrivateKey } from '../identity/index.ts';
import {
  approveBreakGlass,
  type BreakGlassRequest,
  newBreakGlassRequest,
  readBreakGlassRequest,
  readUnverifiedTicket,
} from '../policy/bundle/index.ts';
import { visible } from '../runtime/table.ts';
import { postToEdge } from './edge-socket.ts';
import { cliErrors } from './errors.ts';
import { createIo, timeText } from './io.ts';
import { isoTime, notBlank, wholeNumber } from './options.ts';

interface RequestOptions {
  readonly trustDomain: string;
  readonly edge: string;
  readonly profile: string;
  readonly generation: number;
  readonly subject: string;
  readonly operations: string;
  readonly minutes: number;
  readonly by: string;
  readonly reason: string;
  readonly notBefore?: number;
  readonly validHours: number;
  readonly out: string;
  readonly json: boolean;
}

const hourMs = 3_600_000;

export function registerBreakGlass(program: Command): void {
  const glass = program.command('break-glass').description('open something for minutes on the approval of two people');
  const local = (command: Command): Command => command.option('--json', 'one JSON document on standard output', false);

  local(glass.command('key'))
    .description('make the key of an approver: FILE (private, 0600); prints its entry for break-glass/*.yaml')
    .argument('<file>')
    .action((file: string, options: { json: boolean }) => {
      if (existsSync(file)) throw cliErrors.error('CLI_TARGET_EXISTS', `${file} exists`);
      const { privateKey, publicKey } = generateKey();
      writeFileSync(file, exportPkcs8Pem(privateKey), { mode: 0o600, flag: 'wx' });
      const key = jwkOf(publicKey);
      const { kty, crv, x, y } = key;
      createIo(options.json).result(
        { ok: true, keyId: keyId(publicKey), file, key },
        `key: { kty: ${kty}, crv: ${crv}, x: ${x}, y: ${y} }`,
      );
    });

  local(glass.command('request'))
    .description('write a request for approvers to sign')
    .requiredOption('--trust-domain <name>', 'as in edgeward.yaml')
    .requiredOption('--edge <device>', 'the edge that opens')
    .requiredOption('--profile <id>', 'profile of break-glass/*.yaml')
    .requiredOption('--generation <number>', 'of the profile', wholeNumber(1, 1_000_000_000))
    .requiredOption('--subject <device>', 'whom it is opened to')
    .requiredOption('--operations <list>', 'comma separated')
    .requiredOption('--minutes <number>', 'how long, from its use', wholeNumber(1, 60))
    .requiredOption('--by <name>', 'who asks; approves nothing of it')
    .requiredOption('--reason <text>', 'why, for approvers and review', notBlank)
    .option('--not-before <time>', 'when it may be used first (default now)', isoTime)
    .option('--valid-hours <number>', 'hours in which it may be used', wholeNumber(1, 24), 8)
    .requiredOption('--out <file>', 'the request; must not exist')
    .action((options: RequestOptions) => {
      const request = requestOf(options);
      write(options.out, newBreakGlassRequest(request));
      createIo(options.json).result(
        { ok: true, request, file: options.out },
        `${describe(request)}\nin ${options.out}`,
      );
    });

  local(glass.command('approve'))
    .description('sign a request, or a ticket that somebody signed already; says what is signed')
    .argument('<file>')
    .requiredOption('--key <file>', 'private key of the approver (edgeward break-glass key)')
    .requiredOption('--out <file>', 'the ticket with this approval; must not exist')
    .action(async (file: string, options: { key: string; out: string; json: boolean }) => {
      const io = createIo(options.json);
      const text = readFileSync(file, 'latin1');
      const request = readBreakGlassRequest(text);
      const { privateKey, publicKey } = await loadPrivateKey(options.key);
      const ticket = await approveBreakGlass(text, { key: privateKey, keyId: keyId(publicKey) });
      write(options.out, ticket);
      const approvals = readUnverifiedTicket(ticket).approvals.length;
      io.result(
        { ok: true, request, approvals, keyId: keyId(publicKey), file: options.out },
        `signed: ${describe(request)}\napproval ${approvals}, in ${options.out}`,
      );
    });

  local(glass.command('show'))
    .description('what a request or a ticket says; no signature is verified here')
    .argument('<file>')
    .action((file: string, options: { json: boolean }) => {
      const text = readFileSync(file, 'latin1');
      const request = readBreakGlassRequest(text);
      const approvals = text.startsWith('{') ? 0 : readUnverifiedTicket(text).approvals.length;
      createIo(options.json).result({ ok: true, request, approvals }, `${describe(request)}\napprovals: ${approvals}`);
    });

  local(glass.command('use'))
    .description('bring a ticket to the edge on this host; it opens at once')
    .argument('<ticket>')
    .requiredOption('--config <file>', 'configuration of the edge')
    .action(async (file: string, options: { config: string; json: boolean }) => {
      const { edgePaths, loadEdgeConfig } = await import('../bin/edge/config.ts');
      const { breakGlassSocket } = edgePaths(await loadEdgeConfig(options.config));
      const answer = await postToEdge<OpenTicket>(breakGlassSocket, '/tickets', readFileSync(file), 'tickets');
      const { profile, subject, operations, interface: name, secondsLeft } = answer.open;
      createIo(options.json).result(
        answer,
        `OPEN: ${profile}: ${subject} may ${operations.join(', ')} on ${name} for ${secondsLeft} s; every use is recorded`,
      );
    });
}

function requestOf(options: RequestOptions): BreakGlassRequest {
  const notBefore = options.notBefore ?? Date.now();
  return {
    format: 1,
    ticket: randomBytes(16).toString('hex'),
    trustDomain: options.trustDomain,
    device: options.edge,
    profile: options.profile,
    generation: options.generation,
    subject: options.subject,
    operations: options.operations.split(','),
    minutes: options.minutes,
    notBefore,
    notAfter: notBefore + options.validHours * hourMs,
    requestedBy: options.by,
    reason: options.reason,
  };
}

function write(file: string, text: string): void {
  if (existsSync(file)) throw cliErrors.error('CLI_TARGET_EXISTS', `${file} exists`);
  writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
}

const describe = (request: BreakGlassRequest): string =>
  [
    `${request.requestedBy} asks: ${request.subject} may ${request.operations.join(', ')} for ${request.minutes} minutes`,
    `on edge ${request.device} of ${visible(request.trustDomain)}, by profile ${request.profile}, generation ${request.generation}`,
    `to be used from ${timeText(request.notBefore)} to ${timeText(request.notAfter)}, once (ticket ${request.ticket})`,
    // Whoever asks wrote it, and whoever signs goes by these lines.
    `because: ${visible(request.reason)}`,
  ].join('\n');

interface OpenTicket {
  readonly open: {
    readonly profile: string;
    readonly subject: string;
    readonly interface: string;
    readonly operations: readonly string[];
    readonly secondsLeft: number;
  };
}
