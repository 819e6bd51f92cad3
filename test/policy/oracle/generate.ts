// Random models, policies and requests. A model is a matcher over columns that are each written in one dialect; a
// request is drawn from the witnesses of one policy line, so that a good part of all cases is allowed, and then often
// changed a little, so that the other part is denied narrowly.
import { type Delta, type Instance, type Matcher, type RequestValue, partsOf } from './language.ts';
import { type DrawnLine, drawLine, drawLinks, memberOf } from './generate-policy.ts';
import { drawMatcher } from './generate-matcher.ts';
import { drawShape, type Shape, type Slot } from './generate-shape.ts';
import { nearby, drawCell } from './patterns.ts';
import { type Draw, drawFor } from './random.ts';
import { spoil } from './refusals.ts';

const REQUESTS = 20;
/** Share of instances that are made to be refused. */
const SPOILT = 0.05;
/** Share of instances whose last lines come by a delta. */
const DELTAS = 0.15;

/** Instance `index` of the run `seed`. */
export function generate(seed: number, index: number): Instance {
  const draw = drawFor(seed, index);
  const shape = drawShape(draw);
  const { matcher, cores } = drawMatcher(shape, draw);
  const rules = new Map<string, Matcher>();
  const count = shape.crowded ? draw.between(130, 300) : draw.chance(0.02) ? 0 : draw.between(1, 10);
  const drawn = Array.from({ length: count }, () => drawLine(shape, rules, draw));
  const links = drawLinks(shape, draw);
  const lines = [...drawn.map(({ line }) => line), ...links];
  const instance: Instance = {
    fields: [...new Set(shape.slots.map(({ field }) => field))],
    columns: shape.columns,
    roles: shape.roles,
    effect: shape.effect,
    matcher,
    lines: draw.chance(0.3) ? draw.shuffled(lines) : lines,
    rules,
    requests: [],
    delta: draw.chance(DELTAS) ? drawDelta(shape, lines.length, rules, draw) : undefined,
  };
  const spoilt = draw.chance(SPOILT) ? spoil(instance, draw) : instance;
  const asked = spoilt === instance ? REQUESTS : 2;
  const patterned = partsOf(matcher).some(({ kind }) => kind === 'call' || kind === 'eval');
  const requests = Array.from({ length: asked }, () =>
    drawRequest(instance.fields, shape, drawn, cores, links, patterned, draw),
  );
  return { ...spoilt, requests };
}

function drawDelta(shape: Shape, lines: number, rules: Map<string, Matcher>, draw: Draw): Delta {
  const foreign = [
    ...Array.from({ length: draw.between(0, 3) }, () => drawLine(shape, rules, draw).line),
    ...drawLinks(shape, draw).slice(0, draw.between(0, 3)),
  ];
  return { from: draw.below(lines + 1), foreign };
}

function drawRequest(
  fields: readonly string[],
  shape: Shape,
  lines: readonly DrawnLine[],
  cores: readonly Matcher[],
  links: readonly (readonly string[])[],
  patterned: boolean,
  draw: Draw,
): RequestValue[] {
  const allows = lines.filter(({ allow }) => allow);
  const line =
    lines.length === 0
      ? drawLine(shape, new Map(), draw)
      : draw.pick(allows.length > 0 && draw.chance(0.85) ? allows : lines);
  const texts = new Map(shape.slots.map((slot) => [slot, line.cells.get(slot)?.witness(draw) ?? '']));
  const domain = shape.slots.find(({ kind }) => kind === 'domain');
  const inDomain = domain === undefined ? undefined : texts.get(domain);
  for (const slot of shape.slots) {
    if (slot.dialect === 'role') texts.set(slot, memberOf(texts.get(slot) ?? '', slot, cores, links, inDomain, draw));
  }
  if (draw.chance(0.35)) {
    const slot = draw.pick(shape.slots);
    texts.set(slot, changed(texts.get(slot) ?? '', slot, shape, draw));
  }
  const request = assemble(fields, texts, draw);
  for (const [index, value] of request.entries()) {
    if (typeof value !== 'object' || value === null || !draw.chance(0.06)) continue;
    // Nothing known, or known only to its prototype: both are missing.
    request[index] = draw.chance(0.7) ? {} : (Object.create(value) as RequestValue);
  }
  if (!draw.chance(0.01)) return request;
  const strange: RequestValue[] = ['', '/a\ud800', 'a\nb', '/a\u0000', 'x\u0085', '\u2028', 5, true, null, {}];
  // The reference would need minutes for a pattern about so long a value (fault 8).
  if (!patterned) strange.push('x'.repeat(8_193));
  return request.with(draw.below(request.length), draw.pick(strange));
}

/** Attributes of one field become one object. */
function assemble(fields: readonly string[], texts: ReadonlyMap<Slot, string>, draw: Draw): RequestValue[] {
  const values = new Map<string, RequestValue>();
  for (const [slot, text] of texts) {
    const value = valueOf(slot, text, draw);
    if (slot.path === undefined) values.set(slot.field, value);
    else values.set(slot.field, withAttribute(values.get(slot.field), slot.path, value, draw));
  }
  return fields.map((field) => values.get(field) ?? '');
}

function valueOf(slot: Slot, text: string, draw: Draw): RequestValue {
  if (slot.kind === 'number') return Number(text);
  return slot.kind === 'boolean' ? draw.chance(0.6) : text;
}

function withAttribute(
  object: RequestValue | undefined,
  [name = '', ...rest]: readonly string[],
  value: RequestValue,
  draw: Draw,
): RequestValue {
  const attributes = typeof object === 'object' && object !== null ? object : {};
  if (draw.chance(0.04)) return attributes;
  const inner = draw.chance(0.03)
    ? draw.pick<RequestValue>(['', null, 0, 1, '7', true, {}, { id: 'x' }, Number.NaN, 'a\nb'])
    : rest.length === 0
      ? value
      : withAttribute(attributes[name], rest, value, draw);
  return { ...attributes, [name]: inner };
}

function changed(value: string, slot: Slot, shape: Shape, draw: Draw): string {
  switch (slot.kind) {
    case 'name':
      return draw.chance(0.9) ? draw.pick([...shape.names.subjects, ...shape.names.roles]) : nearby(value, draw);
    case 'domain':
      return draw.pick(shape.names.domains);
    case 'action':
      return draw.chance(0.6) ? draw.pick(shape.names.actions) : nearby(value, draw);
    case 'path':
      return nearby(value, draw);
    case 'number':
      return String(draw.between(-3, 12));
    case 'boolean':
      return value;
    case 'address':
      return draw.chance(0.5) ? drawCell('network', draw).witness(draw) : strangeAddress(value, draw);
  }
}

function strangeAddress(value: string, draw: Draw): string {
  if (draw.chance(0.4) && !value.includes(':')) {
    return `${draw.pick(['::ffff:', '::FFFF:', '::', '0:0:0:0:0:ffff:'])}${value}`;
  }
  const strange = ['localhost', '1.2.3', '::', '::1', '::2:3', '1::2::3', '0x7f.0.0.1', '0.0.0.1'];
  return draw.pick([
    `0${value}`,
    `${value}.1`,
    `${value}%eth0`,
    value.slice(0, -1),
    `${value} `,
    `${value}/32`,
    ...strange,
  ]);
}
