// The published divergences as the README of the engine shows them.
import { behaviours, divergences } from './divergences.ts';
import { refusals } from './refusals.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('__', '\\_\\_');

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  [head, head.map(() => '---'), ...rows.map((row) => row.map(cell))].map((row) => `| ${row.join(' | ')} |`);

export function divergenceTable(): string {
  const opened = divergences.flatMap(({ id, widens, answers }) => [
    ...(widens === undefined ? [] : [[id, 'denies', widens]]),
    ...(answers === undefined ? [] : [[id, 'throws', answers]]),
  ]);
  return [
    'Made from `test/policy/oracle/divergences.ts` and `refusals.ts` by',
    '`EDGEWARD_GOLDEN=write node --test test/policy/oracle/divergences.test.ts`; each row is a predicate or a switch of the differential.',
    '',
    'Answers that differ:',
    '',
    ...table(
      ['', 'node-casbin', 'here', 'why'],
      divergences.map(({ id, casbin, here, why }) => [id, casbin, here, why]),
    ),
    '',
    'Where that allows here, each with its own reason and counted apart:',
    '',
    ...table(['', 'node-casbin', 'why it is allowed here'], opened),
    '',
    'What does not compile here:',
    '',
    ...table(
      ['', 'node-casbin'],
      refusals.map(({ id, casbin }) => [id, casbin]),
    ),
    '',
    'What no single answer shows:',
    '',
    ...table(
      ['node-casbin', 'here', 'test'],
      behaviours.map(({ casbin, here, test }) => [casbin, here, test]),
    ),
  ].join('\n');
}
