// What the million cases have to exercise. An operator counts for a case when its result was looked at while the
// reference's order of evaluation was followed, not when it stands somewhere in the matcher.
import { effects, type EffectName } from './language.ts';

export const operators = [
  '==',
  '!=',
  '&&',
  '||',
  '!',
  '<',
  '<=',
  '>',
  '>=',
  'in',
  'attribute',
  'attribute-alone',
  'eval',
  'g',
  'g2',
  'g-domain',
  'keyMatch',
  'keyMatch2',
  'keyMatch3',
  'keyMatch4',
  'keyMatch5',
  'globMatch',
  'regexMatch',
  'ipMatch',
] as const;
export type OperatorName = (typeof operators)[number];

export const effectNames = Object.keys(effects) as readonly EffectName[];

/** Cases in which an operator was looked at, and in which it was true or false at least once. */
export interface Exercise {
  cases: number;
  held: number;
  failed: number;
}
