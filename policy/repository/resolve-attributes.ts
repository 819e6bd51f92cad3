// The schema of attributes: read from schema/, and held against what tests say of them.
import { attributeSources, type AttributeSource, type SliceAttribute } from '../bundle/conditions.ts';
import { attributePath, builtInAttributes } from '../engine/attributes.ts';
import type { Place } from '../../runtime/errors.ts';
import type { AttributeEntry } from './format/attributes.ts';
import type { Problems } from './problems.ts';
import type { Files } from './read-files.ts';
import type { Attributes } from './repository.ts';
import { unknown, type Resolver } from './resolve.ts';

export function readAttributes(files: Files, problems: Problems): Attributes {
  const attributes = { subject: new Map(), resource: new Map(), context: new Map() };
  for (const file of files.attributes) {
    for (const source of attributeSources) {
      for (const [name, entry] of Object.entries(file.value[source])) {
        const schema = schemaOf(source, name, entry);
        const place = file.placeOf([source, name]);
        if (attributes[source].has(name)) {
          problems.add('POLICY_ID_DUPLICATE', place, `${source} attribute ${name} is defined twice`);
        }
        checkBuiltIn(schema, file.placeOf([source, name, 'type']), problems);
        attributes[source].set(name, schema);
      }
    }
  }
  return attributes;
}

/** By `source.name`, the first declaration of each. */
export function attributePlaces(files: Files): ReadonlyMap<string, Place> {
  const declared = files.attributes.flatMap((file) =>
    attributeSources.flatMap((source) =>
      Object.keys(file.value[source]).map((name) => [`${source}.${name}`, file.placeOf([source, name])] as const),
    ),
  );
  return new Map(declared.toReversed());
}

function schemaOf(
  source: AttributeSource,
  name: string,
  { type, maxAge, values, range }: AttributeEntry,
): SliceAttribute {
  return {
    source,
    name,
    type,
    ...(maxAge === undefined ? {} : { maxAgeSeconds: maxAge / 1_000 }),
    ...(values === undefined ? {} : { values }),
    ...(range === undefined ? {} : { range }),
  };
}

/** What the engine reads by itself has the type that it reads. */
function checkBuiltIn(schema: SliceAttribute, place: Place, problems: Problems): void {
  const builtIn = builtInAttributes.find((entry) => attributePath(entry) === attributePath(schema));
  if (builtIn === undefined || builtIn.type === schema.type) return;
  const message = `${attributePath(schema)} is a ${builtIn.type} to the engine; expected type ${builtIn.type}`;
  problems.add('POLICY_FORMAT', place, message);
}

/** The schema of an attribute by its path; reports one that nobody declared. Built-in ones need no schema. */
export function findAttribute(
  path: string,
  attributes: Attributes,
  resolver: Resolver,
  place: Place,
): SliceAttribute | undefined {
  const source = attributeSources.find((name) => path.startsWith(`${name}.`)) ?? 'subject';
  const name = path.slice(source.length + 1);
  const found = attributes[source].get(name) ?? builtInAttributes.find((entry) => attributePath(entry) === path);
  if (found === undefined) {
    unknown(resolver, 'attributes', `${source} attribute`, name, attributes[source].keys(), place);
  }
  return found;
}
