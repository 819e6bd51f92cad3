// A forgiving look at model.conf: where sections, definitions and stray lines stand, so that every fault of the file can
// be named at its place. What is right is judged by the engine's own parser (model-rules.ts), never here.
import type { Place } from '../../../../runtime/errors.ts';

export interface ScannedSection {
  readonly name: string;
  readonly place: Place;
}

export interface ScannedDefinition {
  readonly section: string;
  readonly key: string;
  readonly text: string;
  readonly place: Place;
  /** Place of the character at `offset` of `text`. */
  readonly placeAt: (offset: number) => Place;
}

export interface ScannedModel {
  readonly sections: readonly ScannedSection[];
  readonly definitions: readonly ScannedDefinition[];
  /** Lines that are neither, with what is wrong. */
  readonly stray: readonly { readonly place: Place; readonly why: string }[];
}

interface Piece {
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

export function scanModel(text: string, file: string): ScannedModel {
  const sections: ScannedSection[] = [];
  const definitions: ScannedDefinition[] = [];
  const stray: { place: Place; why: string }[] = [];
  let pieces: Piece[] = [];
  const finish = (): void => {
    const [first] = pieces;
    if (first === undefined) return;
    const section = sections.at(-1)?.name;
    const place = { file, line: first.line, column: first.column };
    if (section === undefined) stray.push({ place, why: 'a definition before the first [section]' });
    else {
      const definition = readDefinition(section, pieces, file);
      if (definition === undefined) stray.push({ place, why: 'expected a definition such as "r = sub, obj, act"' });
      else definitions.push(definition);
    }
    pieces = [];
  };
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1;
    // As the engine and the reference do: # and ; start a comment anywhere.
    const content = raw.replace(/[#;].*$/, '').trim();
    const column = raw.search(/\S/) + 1;
    if (content === '') {
      if (pieces.length > 0)
        stray.push({ place: { file, line }, why: 'a line that ends with \\ is continued by nothing' });
      finish();
      continue;
    }
    const header = pieces.length === 0 ? /^\[(.*)\]$/.exec(content)?.[1] : undefined;
    if (header !== undefined) {
      sections.push({ name: header, place: { file, line, column } });
      continue;
    }
    const continued = content.endsWith('\\');
    pieces.push({ text: continued ? `${content.slice(0, -1).trimEnd()} ` : content, line, column });
    if (!continued) finish();
  }
  if (pieces.length > 0) {
    stray.push({
      place: { file, line: text.split('\n').length },
      why: 'a line that ends with \\ is continued by nothing',
    });
  }
  finish();
  return { sections, definitions, stray };
}

function readDefinition(section: string, pieces: readonly Piece[], file: string): ScannedDefinition | undefined {
  const whole = pieces.map((piece) => piece.text).join('');
  const equals = whole.indexOf('=');
  const key = whole.slice(0, equals).trim();
  const rest = whole.slice(equals + 1);
  if (equals === -1 || !/^[a-z][a-z0-9]*$/.test(key) || rest.trim() === '') return undefined;
  const start = equals + 1 + rest.search(/\S/);
  const placeAt = (offset: number): Place => {
    let left = start + offset;
    for (const piece of pieces) {
      if (left < piece.text.length || piece === pieces.at(-1)) {
        return { file, line: piece.line, column: piece.column + left };
      }
      left -= piece.text.length;
    }
    return { file };
  };
  return {
    section,
    key,
    text: rest.trim(),
    place: { file, line: pieces[0]?.line ?? 1, column: pieces[0]?.column ?? 1 },
    placeAt,
  };
}
