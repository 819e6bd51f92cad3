// What an engine was asked, beside its policy everything that the answer hangs on; and the same as fields of an event, so
// that a recorded decision can be asked again.
import { type AttributeSource, attributeNamePattern, attributeSources } from '../bundle/conditions.ts';
import type { Freshness } from './judge.ts';
import { MAX_RECORDED_ATTRIBUTES, MAX_RECORDED_LENGTH } from './limits.ts';
import type { AccessRequest, Attribute, AttributeValue } from './request.ts';

export interface Asked {
  /** With `timeFloor` where the time is not trusted. */
  readonly request: AccessRequest;
  readonly freshness: Freshness;
}

/** Fields of an event (docs/detection.md). */
export interface RecordedQuestion {
  readonly asked_ms: number;
  readonly attributes?: string[];
  readonly binding: AccessRequest['subject']['binding'];
  readonly floor_ms?: number;
  readonly freshness: Freshness;
  /** This device was in island mode. */
  readonly island?: true;
  readonly state: AccessRequest['subject']['state'];
  /** Something found no room. */
  readonly truncated?: true;
}

export function recordAsked({ request, freshness }: Asked): RecordedQuestion {
  const { subject, context } = request;
  const { texts, whole } = recordAttributes(request);
  return {
    asked_ms: context.time,
    ...(texts.length === 0 ? {} : { attributes: texts }),
    binding: subject.binding,
    ...(context.timeFloor === undefined ? {} : { floor_ms: context.timeFloor }),
    freshness,
    ...(context.island === true ? { island: true as const } : {}),
    state: subject.state,
    ...(whole ? {} : { truncated: true }),
  };
}

function recordAttributes(request: AccessRequest): { readonly texts: string[]; readonly whole: boolean } {
  const texts: string[] = [];
  let room = MAX_RECORDED_LENGTH;
  for (const source of attributeSources) {
    const { attributes } = request[source];
    for (const name in attributes) {
      if (!Object.hasOwn(attributes, name)) continue;
      const text = attributeText(source, name, attributes[name] as Attribute);
      room -= text.length;
      if (room < 0 || texts.length === MAX_RECORDED_ATTRIBUTES) return { texts, whole: false };
      texts.push(text);
    }
  }
  return { texts, whole: true };
}

/**
 * `subject.risk=12 @1790000000000`: source and name, the value as JSON, since when it is known in milliseconds since the
 * epoch where somebody said. A name that no policy can read is in quotes.
 */
function attributeText(source: AttributeSource, name: string, { value, asOf }: Attribute): string {
  const named = attributeNamePattern.test(name) ? name : JSON.stringify(name);
  // What has no JSON form is no value to a decision either.
  const said = `${source}.${named}=${JSON.stringify(value ?? null) ?? 'null'}`;
  return asOf === undefined ? said : `${said} @${asOf}`;
}

const attributeForm = /^(subject|resource|context)\.("(?:[^"\\]|\\.)*"|[^"=]+)=(.*?)(?: @([-+.\w]+))?$/s;

export type AttributesBySource = Readonly<Record<AttributeSource, Readonly<Record<string, Attribute>>>>;

/** The other way. undefined when one of the texts is none. */
export function readAttributes(texts: readonly string[]): AttributesBySource | undefined {
  const found = { subject: {}, resource: {}, context: {} } as Record<AttributeSource, Record<string, Attribute>>;
  try {
    for (const text of texts) {
      const [, source, named = '', said = '', asOf] = attributeForm.exec(text) ?? [];
      if (source === undefined) return undefined;
      const name = named.startsWith('"') ? (JSON.parse(named) as string) : named;
      const value = JSON.parse(said) as AttributeValue;
      const attribute = asOf === undefined ? { value } : { value, asOf: Number(asOf) };
      Object.defineProperty(found[source as AttributeSource], name, { value: attribute, enumerable: true });
    }
  } catch {
    return undefined;
  }
  return found;
}

/** `192.0.2.1:443`, `[2001:db8::1]:443`; empty for an empty address: a connection of which the record has the parts. */
export function joinConnection(address: string, port: number): string {
  if (address === '') return '';
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
