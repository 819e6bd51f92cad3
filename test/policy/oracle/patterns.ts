// Random patterns of every matching function, each with a witness: something that draws values the pattern matches.
// A dialect is a way to write a column; it says which functions may read it.
import type { Draw } from './random.ts';

/** Text of a policy column or of a quoted text in the matcher, and how to draw a value that it is meant for. */
export interface Cell {
  readonly text: string;
  readonly witness: (draw: Draw) => string;
}

export type Dialect = 'plain' | 'star' | 'colon' | 'braces' | 'named' | 'glob' | 'regex' | 'network' | 'number';

/** Functions and operators that read a column of the dialect; the first are the ones it is written for. */
export const readers: Readonly<Record<Dialect, readonly string[]>> = {
  plain: ['==', '!=', 'keyMatch', 'keyMatch2', 'keyMatch3', 'keyMatch4', 'keyMatch5', 'regexMatch'],
  star: ['keyMatch', 'keyMatch', 'keyMatch2', 'keyMatch3', 'keyMatch5'],
  colon: ['keyMatch2'],
  braces: ['keyMatch3', 'keyMatch5'],
  named: ['keyMatch4'],
  glob: ['globMatch'],
  regex: ['regexMatch'],
  network: ['ipMatch'],
  number: ['<', '<=', '>', '>='],
};

export function drawCell(dialect: Dialect, draw: Draw): Cell {
  switch (dialect) {
    case 'plain':
      return exactly(path(draw));
    case 'star': {
      const prefix = draw.chance(0.1) ? '' : `${path(draw)}${draw.chance(0.8) ? '/' : ''}`;
      if (draw.chance(0.15)) return exactly(prefix === '' ? '/' : prefix);
      // Only a star of its own segment is one for keyMatch2 and 3 too.
      const open = prefix.endsWith('/') ? prefix : `${prefix}/`;
      return { text: `${open}*`, witness: (inner) => open + tail(inner) };
    }
    case 'colon':
      if (draw.chance(0.04)) return { text: '*', witness: path };
      return segments(draw, (name) => `:${name}`);
    case 'braces':
      return segments(draw, (name) => `{${name}}`);
    case 'named':
      return segments(draw, (name) => `{${name}}`, false);
    case 'glob':
      return glob(draw);
    case 'number':
      return number(draw);
    case 'regex':
      return drawRegex(draw);
    case 'network':
      return network(draw);
  }
}

/** A value close to `value`: what a careless comparison would take for it. */
export function nearby(value: string, draw: Draw): string {
  const at = draw.below(value.length + 1);
  switch (draw.below(13)) {
    case 9:
      return `${value}?x=/1`;
    case 10:
      return value.replace(/\/[^/]*/, draw.pick(['/.', '/..', '/.a', '/']));
    case 11:
      return value.replace(/[^/]+/, '.$&');
    case 0:
      return `${value}/`;
    case 1:
      return `${value}${draw.pick(['x', '/x', ' ', '0', '.'])}`;
    case 2:
      return `${draw.pick(['x', '/', '/x', '1'])}${value}`;
    case 3:
      return value.replace('/', '//');
    case 4:
      return value.replace('.', draw.pick(['x', '/', '']));
    case 5:
      return value.slice(0, at);
    case 6:
      return value.slice(0, at) + draw.pick(['a', '/', '7', 'é']) + value.slice(at + 1);
    case 7:
      return value.slice(0, -1);
    case 8:
      return value.toUpperCase();
    default:
      return value.replace(/[^/]+$/, '');
  }
}

const literals = [
  'a',
  'b',
  'api',
  'v1.0',
  'v1',
  'a.b.c',
  'x-y',
  'x y',
  'straße',
  '7',
  '💧',
  '__proto__',
  'constructor',
];
const names = ['id', 'x', 'device', 'a_b', 'n-1', '0'];

function path(draw: Draw): string {
  const parts = draw.picks(literals.slice(0, draw.chance(0.8) ? 6 : literals.length), draw.between(1, 3)).join('/');
  const start = draw.chance(0.9) ? '/' : '';
  return `${start}${parts}${draw.chance(0.08) ? '/' : ''}`;
}

function tail(draw: Draw): string {
  return draw.chance(0.15) ? '' : draw.picks([...literals, ''], draw.between(1, 3)).join('/');
}

function segments(draw: Draw, parameter: (name: string) => string, stars = true): Cell {
  const few = names.slice(0, draw.between(1, names.length));
  const parts: Cell[] = Array.from({ length: draw.between(1, 4) }, (): Cell => {
    const kind = draw.below(20);
    if (kind < 9) return { text: parameter(draw.pick(few)), witness: (inner) => inner.pick(literals.slice(0, 4)) };
    if (kind < 10 && stars) return { text: '*', witness: tail };
    const text = draw.chance(0.05) ? '' : draw.pick(literals);
    return { text, witness: (inner) => (inner.chance(0.1) ? text.replace('.', 'x') : text) };
  });
  if (draw.chance(0.15)) parts.push({ text: '*', witness: tail });
  const join = (read: (part: Cell) => string): string => `/${parts.map(read).join('/')}`;
  return { text: join(({ text }) => text), witness: (inner) => join(({ witness }) => witness(inner)) };
}

/** Stars and question marks in segments, two stars as the last one. */
function glob(draw: Draw): Cell {
  if (draw.chance(0.03)) return { text: '**', witness: path };
  const parts = Array.from({ length: draw.between(1, 3) }, (): Cell => {
    const literal = draw.pick(literals);
    switch (draw.below(8)) {
      case 0:
        return { text: `*${literal}`, witness: (inner) => `${inner.pick(['', 'x', '.'])}${literal}` };
      case 1:
        return { text: `${literal}*`, witness: (inner) => `${literal}${inner.pick(['', 'x', '.x'])}` };
      case 2:
        return { text: `${literal}?`, witness: (inner) => `${literal}${inner.pick(['a', '.', 'é', '💧'])}` };
      case 3:
        return { text: '*', witness: (inner) => inner.pick([...literals, '.a']) };
      case 4:
        return { text: `.*`, witness: (inner) => inner.pick(['.a', '.', '..', '.a.b']) };
      case 5:
        return { text: 'a*b*c', witness: (inner) => inner.pick(['abc', 'axbyc', 'abcbc', 'acb']) };
      default:
        return exactly(literal);
    }
  });
  if (draw.chance(0.25)) parts.push({ text: '**', witness: (inner) => inner.pick(['a', 'a/b', '.a', 'a/.b/c', '']) });
  const start = draw.chance(0.9) || parts[0]?.text === '*' ? '/' : '';
  const join = (read: (part: Cell) => string): string => `${start}${parts.map(read).join('/')}`;
  return { text: join(({ text }) => text), witness: (inner) => join(({ witness }) => witness(inner)) };
}

function number(draw: Draw): Cell {
  const value = draw.chance(0.8) ? draw.between(-3, 12) : draw.between(-30, 120) / 10;
  return { text: String(value), witness: (inner) => String(value + inner.pick([-1, 0, 0, 1])) };
}

/** Built from parts that mean the same in JavaScript and RE2; what does not is refused when compiled. */
function drawRegex(draw: Draw): Cell {
  const one = regexSequence(draw, draw.between(0, 2));
  const other = draw.chance(0.1) ? regexSequence(draw, 1) : undefined;
  const body: Cell =
    other === undefined
      ? one
      : { text: `${one.text}|${other.text}`, witness: (inner) => inner.pick([one, other]).witness(inner) };
  const anchors = draw.pick(['both', 'both', 'both', 'none', 'start', 'end']);
  const start = anchors === 'both' || anchors === 'start' ? '^' : '';
  const end = anchors === 'both' || anchors === 'end' ? '$' : '';
  return { text: `${start}${body.text}${end}`, witness: (inner) => body.witness(inner) || 'a' };
}

function regexSequence(draw: Draw, depth: number): Cell {
  const parts = Array.from({ length: draw.between(1, 3) }, () => regexPart(draw, depth));
  return {
    text: parts.map(({ text }) => text).join(''),
    witness: (inner) => parts.map(({ witness }) => witness(inner)).join(''),
  };
}

const regexAtoms: readonly (readonly [text: string, values: readonly string[]])[] = [
  ['read', ['read']],
  ['write', ['write']],
  ['/', ['/']],
  ['GET', ['GET']],
  ['a', ['a']],
  ['\\.', ['.']],
  ['\\/', ['/']],
  ['\\$', ['$']],
  ['.', ['.', 'x', '/', 'é', '💧']],
  ['\\d', ['0', '7']],
  ['\\D', ['a', '/']],
  ['\\w', ['a', '_', '9']],
  ['\\W', ['/', ' ']],
  ['[a-z]', ['a', 'z']],
  ['[^/]', ['a', '.', 'é']],
  ['[0-9a-f]', ['0', 'c']],
  ['[abc-]', ['-', 'b']],
  ['[\\w.]', ['.', 'w']],
];

function regexPart(draw: Draw, depth: number): Cell {
  if (depth > 0 && draw.chance(0.3)) {
    const options = Array.from({ length: draw.between(1, 3) }, () => regexSequence(draw, depth - 1));
    const group = draw.chance(0.3) ? '(?:' : '(';
    const text = `${group}${options.map((option) => option.text).join('|')})`;
    const cell: Cell = { text, witness: (inner) => inner.pick(options).witness(inner) };
    // Repeated without end only where nothing inside is: the reference would backtrack for ever (fault 9).
    return /[*+}]/.test(text) ? (draw.chance(0.3) ? optional(cell) : cell) : quantified(draw, cell);
  }
  const [text, values] = draw.pick(regexAtoms);
  const single = text.length === 1 || text.startsWith('\\') || text.startsWith('[');
  const atom: Cell = { text, witness: (inner) => inner.pick(values) };
  return single ? quantified(draw, atom) : atom;
}

function optional(cell: Cell): Cell {
  return { text: `${cell.text}?`, witness: (inner) => (inner.chance(0.5) ? cell.witness(inner) : '') };
}

function quantified(draw: Draw, cell: Cell): Cell {
  const repeat = (low: number, high: number, mark: string): Cell => ({
    text: `${cell.text}${mark}`,
    witness: (inner) => Array.from({ length: inner.between(low, high) }, () => cell.witness(inner)).join(''),
  });
  switch (draw.below(12)) {
    case 0:
      return repeat(0, 3, draw.chance(0.5) ? '*' : '*?');
    case 1:
      return repeat(1, 3, '+');
    case 2:
      return optional(cell);
    case 3:
      return repeat(2, 3, '{2,3}');
    case 4:
      return repeat(2, 2, '{2}');
    case 5:
      return repeat(1, 3, '{1,}');
    default:
      return cell;
  }
}

/** A network, and addresses at its edges: inside it, and one bit outside. */
function network(draw: Draw): Cell {
  const width = draw.chance(0.7) ? 32 : 128;
  const base = randomBits(draw, width);
  if (draw.chance(0.25))
    return { text: addressText(base, width, draw), witness: (inner) => addressText(base, width, inner) };
  const prefix = draw.chance(0.1) ? draw.pick([0, width, width - 1, 1]) : draw.between(1, width);
  const text = `${addressText(base, width, draw)}/${prefix}`;
  return {
    text,
    witness: (inner) => {
      const low = BigInt(width - prefix);
      const random = randomBits(inner, width) & ((1n << low) - 1n);
      const inside = ((base >> low) << low) | random;
      const outside = prefix > 0 && inner.chance(0.2);
      return addressText(outside ? inside ^ (1n << low) : inside, width, inner);
    },
  };
}

function randomBits(draw: Draw, width: number): bigint {
  if (width === 128 && draw.chance(0.2)) return BigInt(draw.below(3));
  let bits = 0n;
  for (let word = 0; word < width / 16; word++) {
    bits = (bits << 16n) | BigInt(draw.chance(width === 128 ? 0.5 : 0) ? 0 : draw.below(0x10000));
  }
  return bits;
}

export function addressText(bits: bigint, width: number, draw: Draw): string {
  if (width === 32) return [24n, 16n, 8n, 0n].map((shift) => String((bits >> shift) & 0xffn)).join('.');
  const words = Array.from({ length: 8 }, (_, word) => ((bits >> BigInt(112 - 16 * word)) & 0xffffn).toString(16));
  const text = draw.chance(0.2) ? words.join(':') : shorten(words);
  return draw.chance(0.1) ? text.toUpperCase() : text;
}

/** RFC 5952 section 4.2: the longest run of zero words becomes `::`. */
function shorten(words: readonly string[]): string {
  let [best, length] = [-1, 1];
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (words[end] === '0') end++;
    if (end - start > length) [best, length] = [start, end - start];
  }
  if (best === -1) return words.join(':');
  return `${words.slice(0, best).join(':')}::${words.slice(best + length).join(':')}`;
}

function exactly(text: string): Cell {
  return { text, witness: () => text };
}
