// edgeward policy feed import
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { MAX_FEED_BYTES, MAX_FEED_PROBLEMS } from '../policy/limits.ts';
import { cliErrors } from './errors.ts';
import { createIo } from './io.ts';
import { loadRooms } from './policy-rooms.ts';

interface Options {
  readonly name: string;
  readonly dir: string;
  readonly skipRefused: boolean;
  readonly json: boolean;
}

export function registerPolicyFeed(policy: Command): void {
  policy
    .command('feed')
    .description('threat feeds: address blocks that firewall rules name')
    .command('import')
    .description('check a list (FireHOL netset, Spamhaus DROP), write it sorted and merged to feeds/<name>.netset')
    .argument('<file>', 'one address block a line; # and ; begin comments')
    .requiredOption('--name <name>', 'as rules name it: feed: <name>')
    .option('--dir <dir>', 'the policy repository; its inventory must not be in the list', '.')
    .option('--skip-refused', 'leave refused lines out, and say which', false)
    .option('--json', 'one JSON document on standard output', false)
    .action(async (file: string, { name, dir, skipRefused, json }: Options) => {
      const [rooms, { idPattern }] = await Promise.all([loadRooms(), import('../policy/bundle/index.ts')]);
      if (!idPattern.test(name)) {
        throw cliErrors.error('CLI_USAGE', `--name ${name}: expected lower case letters, digits, dots and dashes`);
      }
      const tree = await rooms.readDirectory(dir);
      const imported = rooms.importFeed(tree, name, readList(file), skipRefused);
      const { text, blocks, refused, dated } = imported;
      const lines = refused.slice(0, MAX_FEED_PROBLEMS).map(({ line, message }) => `${file}:${line}: ${message}`);
      if (refused.length > lines.length) lines.push(`and ${refused.length - lines.length} more lines`);
      if (text === undefined) {
        throw cliErrors.error('CLI_CHECK_FAILED', `${file} is refused, nothing is written:\n${lines.join('\n')}`, {
          remedy: skipRefused
            ? 'Get the list again: as a whole it cannot be used.'
            : 'Remove these lines, or leave them out with --skip-refused.',
        });
      }
      const path = join(dir, `feeds/${name}.netset`);
      mkdirSync(join(dir, 'feeds'), { recursive: true });
      writeFileSync(path, text);
      const io = createIo(json);
      for (const line of lines) io.note(`left out: ${line}`);
      const next = dated ? '' : `; say until when it may be believed: expires in feeds/feeds.yaml or in the rule`;
      io.result({ ok: true, path, blocks, leftOut: refused }, `${blocks} address blocks in ${path}${next}`);
    });
}

function readList(file: string): string {
  try {
    if (statSync(file).size > MAX_FEED_BYTES) {
      throw cliErrors.error('CLI_CHECK_FAILED', `${file} has more than ${MAX_FEED_BYTES} bytes`);
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw cliErrors.error('CLI_FILE_FAILED', error.message, { cause: error });
  }
}
