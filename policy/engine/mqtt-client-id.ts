// Client ids of a policy: text, `{device}` for the id of the subject, a last `*` for any rest.
import { devicePlaceholder } from './mqtt-topic.ts';

export interface ClientIdPattern {
  /** Texts around the placeholders. */
  readonly around: readonly string[];
  readonly rest: boolean;
}

export function readClientIdPattern(text: string): ClientIdPattern {
  const rest = text.endsWith('*');
  return { around: (rest ? text.slice(0, -1) : text).split(devicePlaceholder), rest };
}

/** What is wrong with it, in words; undefined when nothing is. */
export function clientIdPatternFault(text: string): string | undefined {
  const bare = text.replaceAll(devicePlaceholder, '');
  if (/[{}]/.test(bare)) return 'expected no braces besides {device}';
  if (text.slice(0, -1).includes('*')) return 'expected * only at the end';
  if (text === '*') return 'expected some text before the *: whoever takes the id of another client ends its session';
  if (text === `${devicePlaceholder}*`) return 'expected a mark between {device} and *, such as {device}-*';
  return bare.includes('\0') || !text.isWellFormed() ? 'expected Unicode without U+0000' : undefined;
}

/** Nobody is meant by the placeholder of a subject that could not be established. */
export function matchesClientId({ around, rest }: ClientIdPattern, clientId: string, subject: string): boolean {
  if (around.length > 1 && subject === '') return false;
  const text = around.join(subject);
  return rest ? clientId.startsWith(text) : clientId === text;
}
