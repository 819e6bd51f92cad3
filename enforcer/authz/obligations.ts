// Obligations of a decision, as the points ask for them.
import { type Decision, obligationName } from '../../policy/engine/index.ts';

export const asksFor = ({ obligations }: Decision, id: string): boolean =>
  obligations?.some((obligation) => obligation.id === id) ?? false;

export const obligationsOf = ({ obligations }: Decision): string => (obligations ?? []).map(obligationName).join(' ');
