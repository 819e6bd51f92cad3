// What a matcher, or a rule that eval finds in a line, reads of a request beside its texts.
import type { Place } from '../../../../runtime/errors.ts';
import { attributePath, builtInAttributes } from '../../../engine/attributes.ts';
import { documentFields } from '../../../engine/casbin-request.ts';
import { valuesOf, type Expression, type Value } from '../../../engine/casbin/matcher-syntax.ts';
import type { ModelFile } from '../../../engine/casbin/model-file.ts';
import { nearest } from '../../nearest.ts';
import type { Report } from '../../problems.ts';
import type { Attributes } from '../../repository.ts';
import { termsOf } from './matcher-terms.ts';

/** `placeAt` of an offset in the text of the expression. */
export function lintAttributes(
  expression: Expression,
  model: ModelFile,
  attributes: Attributes,
  placeAt: (offset: number) => Place,
  problems: Report,
): void {
  for (const { term } of termsOf(expression)) {
    const values = valuesOf(term);
    const asText = term.kind !== 'order' && term.kind !== 'truth';
    for (const value of values) {
      if (value.kind !== 'request') continue;
      const field = documentFields.find((name) => name === model.request[value.field]);
      const [first, name] = value.path;
      if (field === undefined) {
        if (first === undefined && asText && !values.some(isTyped)) continue;
        const message = `r.${model.request[value.field]} is a text: it holds no attributes and is no number`;
        problems.add('CASBIN_ATTRIBUTE_UNKNOWN', placeAt(value.at), message);
      } else if (first === undefined) {
        const message = `r.${field} is an object; expected one of its values such as r.${field}.attributes.name`;
        problems.add('CASBIN_ATTRIBUTE_UNKNOWN', placeAt(value.at), message);
      } else if (first === 'attributes' && name !== undefined) {
        const declared = [...attributes[field].keys()];
        const builtIn = builtInAttributes.some((entry) => attributePath(entry) === `${field}.${name}`);
        if (builtIn || declared.includes(name)) continue;
        const near = nearest(name, declared);
        const hint = near === undefined ? '' : `; did you mean ${near}?`;
        const message = `no schema declares the ${field} attribute ${name}${hint}`;
        problems.add('CASBIN_ATTRIBUTE_UNDECLARED', placeAt(value.at), message);
      }
    }
  }
}

function isTyped(value: Value): boolean {
  return value.kind === 'number' || value.kind === 'boolean';
}
