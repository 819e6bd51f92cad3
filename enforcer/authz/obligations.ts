// Obligations of a decision, as the points ask for them, and what a proxy's own configuration says of them.
import { attributeNamePattern } from '../../policy/bundle/index.ts';
import { type Decision, type Fulfilment, obligationName } from '../../policy/engine/index.ts';
import { maxFulfilled } from './limits.ts';

/** What can be done is done, also where something else of the same allow cannot be. */
export const asksFor = ({ obligations, unfulfilled }: Decision, id: string): boolean =>
  (obligations ?? unfulfilled)?.some((obligation) => obligation.id === id) ?? false;

export const obligationsOf = ({ obligations }: Decision): string => (obligations ?? []).map(obligationName).join(' ');

/** What the proxy has to carry out of an allow: `custom:badge custom:door`; empty for none and for a denial. */
export function obligationsOfProxy({ allow, obligations }: Decision): string {
  if (!allow || obligations === undefined) return '';
  return obligations
    .filter(({ id }) => id === 'custom')
    .map(obligationName)
    .join(' ');
}

const customPrefix = 'custom:';

/** Reads `custom:badge custom:door` of a proxy's own configuration. Undefined, which is none, for anything else. */
export function parseFulfils(text: string | undefined): Fulfilment | undefined {
  if (text === undefined) return undefined;
  const entries = text.split(' ');
  if (entries.length > maxFulfilled || !entries.every((entry) => entry.startsWith(customPrefix))) return undefined;
  const custom = entries.map((entry) => entry.slice(customPrefix.length));
  return custom.every((name) => attributeNamePattern.test(name)) ? { ids: [], custom } : undefined;
}
