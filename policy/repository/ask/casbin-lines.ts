// The lines of a policy.csv that say something, as they stand there.
import type { CasbinModel } from '../repository.ts';

export interface CasbinLine {
  /** From 1. */
  readonly line: number;
  readonly text: string;
  /** `file:line`. */
  readonly place: string;
}

export function casbinLines({ policy, files }: Pick<CasbinModel, 'policy' | 'files'>): CasbinLine[] {
  return policy
    .split('\n')
    .map((raw, index) => ({ line: index + 1, text: raw.trim(), place: `${files.policy}:${index + 1}` }))
    .filter(({ text }) => text !== '' && !text.startsWith('#'));
}

/** The text without one line; every other line stays where it was. */
export function withoutLine(policy: string, line: number): string {
  return policy
    .split('\n')
    .map((raw, index) => (index + 1 === line ? '' : raw))
    .join('\n');
}

/** Names in a definition of model.conf: of `r` the fields of a request, of `p` the columns of a line. */
export function definition(model: string, name: 'r' | 'p'): string[] {
  const written = new RegExp(`^\\s*${name}\\s*=\\s*(.+)$`, 'm').exec(model)?.[1] ?? '';
  return written.split(',').map((field) => field.trim());
}
