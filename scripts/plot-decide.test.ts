import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plotDecide } from './plot-decide.ts';

const cost = (us: number): object => ({ us, requests: 100 });

const document = (sizes: readonly object[]): object => ({
  bench: 'decide',
  machine: { cpu: 'a <fast> one', cores: 2, node: 'v24.0.0', kernel: '6.1.0-1' },
  figures: [{ id: 'decideMeanUs10k', against: { sizes } }],
});

test('every engine has a label and a point for every size it was asked at', () => {
  const svg = plotDecide(
    document([
      { lines: 100, edgeward: cost(0.5), 'cedar-wasm': cost(200) },
      { lines: 1_000, edgeward: cost(0.9), 'cedar-wasm': cost(1_500) },
      { lines: 10_000, edgeward: cost(1.25), left: { 'cedar-wasm': 'not asked' } },
    ]),
  );
  assert.match(svg, /Edgeward, 1\.3 µs/);
  assert.match(svg, /cedar-wasm, 1\.5 ms/);
  assert.equal(svg.match(/<circle /g)?.length, 3);
  assert.equal(svg.match(/<polyline [^>]*#009e73/g)?.length, 1);
  assert.match(svg, /a &lt;fast&gt; one/);
});

test('a document of another bench, or without costs, is refused', () => {
  assert.throws(() => plotDecide({ ...document([]), bench: 'loop' }), /decide/);
  assert.throws(() => plotDecide(document([{ lines: 100 }])), /no engine has a cost/);
});
