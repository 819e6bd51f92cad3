// edgeward policy explain
import { InvalidArgumentError, Option, type Command } from 'commander';
import { createIo } from './io.ts';
import { isoTime, wholeNumber } from './options.ts';
import { attestationOption, bindingOption, freshnessOption, stateOption } from './policy-options.ts';
import { loadRooms, mustLoad, type Rooms } from './policy-rooms.ts';
import { cliErrors } from './errors.ts';

type Question = Parameters<Rooms['questionFor']>;

interface Options {
  readonly json: boolean;
  readonly subject: string;
  readonly interface: string;
  readonly device?: string;
  readonly operation?: string;
  readonly http?: { readonly method: string; readonly path: string };
  readonly modbus?: number;
  readonly unit: number;
  readonly address: readonly [number, number];
  readonly values: readonly number[];
  readonly port: boolean;
  readonly at?: number;
  readonly attestedAgo: number;
  readonly risk: number;
  readonly reduced: boolean;
  readonly state: NonNullable<Question[3]['state']>;
  readonly attestation: NonNullable<Question[3]['attestation']>;
  readonly freshness: NonNullable<Question[3]['freshness']>;
  readonly binding?: NonNullable<Question[3]['binding']>;
}

export function registerPolicyExplain(policy: Command): void {
  policy
    .command('explain')
    .description(
      'ask the policy one question: the answer, the rule behind it, and the smallest change that would flip it',
    )
    .argument('<dir>')
    .requiredOption('--subject <device>', 'who asks')
    .requiredOption('--interface <name>', 'what is asked')
    .option('--device <id>', 'which of several devices that serve the interface')
    .option('--operation <name>', 'a named operation: asked with one request that is it')
    .option('--http <request>', 'or a request: "GET /status"', httpRequest)
    .option(
      '--modbus <function>',
      'or a Modbus function code, with --unit, --address and --values',
      wholeNumber(1, 127),
    )
    .option('--unit <n>', 'Modbus unit', wholeNumber(0, 255), 1)
    .option('--address <from-to>', 'Modbus register or registers', addressRange, [0, 0])
    .option('--values <list>', 'Modbus values written, with commas', valueList, [])
    .option('--port', 'or a connection to an opaque port', false)
    .addOption(stateOption())
    .addOption(attestationOption())
    .option('--attested-ago <seconds>', 'age of the last appraisal', wholeNumber(0, 9_999_999), 60)
    .option('--risk <n>', '0 to 100', wholeNumber(0, 100), 0)
    .addOption(new Option('--reduced', 'after recovery of the software class').default(false))
    .addOption(bindingOption())
    .addOption(freshnessOption())
    .option('--at <time>', 'ISO time; default now', isoTime)
    .option('--json', 'one JSON document on standard output', false)
    .action(async (directory: string, options: Options) => {
      const rooms = await loadRooms();
      const repository = mustLoad(rooms, await rooms.readDirectory(directory));
      const engine = rooms.decideWithEngine();
      const { state, attestation, risk, reduced, freshness, binding, subject } = options;
      const given = {
        subject,
        state,
        attestation,
        risk,
        reduced,
        freshness,
        attestedAgo: options.attestedAgo * 1_000,
        time: options.at ?? Math.floor(Date.now() / 60_000) * 60_000,
        ...(binding === undefined ? {} : { binding }),
      };
      const asked = { interface: options.interface, device: options.device, wire: wireOf(options) };
      const question = rooms.questionFor(repository, engine, asked, given);
      const explanation = rooms.explainQuestion(repository, engine, question, await rooms.describeCommit(directory));
      createIo(options.json).result(explanation, rooms.formatExplanation(explanation));
    });
}

function wireOf({ operation, http, modbus, port, unit, address: [from, to], values }: Options): Question[2]['wire'] {
  const given = [operation, http, modbus, port || undefined].filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw cliErrors.error('CLI_USAGE', 'expected exactly one of --operation, --http, --modbus and --port');
  }
  if (operation !== undefined) return { operation };
  if (http !== undefined) return { http };
  if (modbus === undefined) return { port: true };
  return { modbus: { function: modbus, unit, address: from, quantity: to - from + 1, values } };
}

function httpRequest(text: string): { method: string; path: string } {
  const [, method = '', path = ''] = /^(\S+) (\S+)$/.exec(text) ?? [];
  if (method === '') throw new InvalidArgumentError('Expected a method and a path such as "GET /status".');
  return { method, path };
}

function addressRange(text: string): [number, number] {
  const [, from = '', to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  if (from === '' || Number(from) > Number(to) || Number(to) > 65_535)
    throw new InvalidArgumentError('Expected a register such as 7, or registers such as 0-9.');
  return [Number(from), Number(to)];
}

function valueList(text: string): number[] {
  return text.split(',').map((part) => wholeNumber(0, 65_535)(part.trim()));
}
