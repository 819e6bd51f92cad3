// What each engine says of the corner cases of the corpus's language, which random requests seldom meet.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requires } from '../../test/support/capabilities.ts';
import type { Corpus, CorpusRequest } from './corpus.ts';
import { engineNames, engines } from './engines.ts';

const corpus: Corpus = {
  rules: [
    { sub: 'viewer', dom: 'site-1', obj: '/cell/:cell/status', act: 'read', net: '10.1.0.0/16', eft: 'allow' },
    { sub: 'viewer', dom: 'site-1', obj: '/area/7/*', act: 'read', net: '0.0.0.0/0', eft: 'allow' },
    { sub: 'operator', dom: 'site-1', obj: '/area/7/secret/*', act: 'read', net: '10.1.2.0/24', eft: 'deny' },
    { sub: 'device-9', dom: 'site-2', obj: '/pump/:pump', act: 'start', net: '10.0.0.0/8', eft: 'allow' },
    { sub: 'viewer', dom: 'site-2', obj: '/never/*', act: 'read', net: '10.0.0.0/8', eft: 'deny' },
  ],
  links: [
    { member: 'operator', role: 'viewer', dom: 'site-1' },
    { member: 'device-1', role: 'operator', dom: 'site-1' },
    { member: 'device-2', role: 'viewer', dom: 'site-1' },
  ],
  requests: [],
};

const cases: readonly (readonly [CorpusRequest, boolean, string])[] = [
  [['device-2', 'site-1', '/cell/3/status', 'read', '10.1.9.9'], true, 'a role'],
  [['device-1', 'site-1', '/cell/3/status', 'read', '10.1.9.9'], true, 'a role through a role'],
  [['device-3', 'site-1', '/cell/3/status', 'read', '10.1.9.9'], false, 'no role'],
  [['device-2', 'site-2', '/cell/3/status', 'read', '10.1.9.9'], false, 'a role of another domain'],
  [['device-2', 'site-1', '/cell/3/4/status', 'read', '10.1.9.9'], false, 'two segments for a parameter'],
  [['device-2', 'site-1', '/cell//status', 'read', '10.1.9.9'], false, 'an empty segment for a parameter'],
  [['device-2', 'site-1', '/cell/3/status/', 'read', '10.1.9.9'], false, 'a slash behind a pattern'],
  [['device-2', 'site-1', '/cell/3/status', 'write', '10.1.9.9'], false, 'another action'],
  [['device-2', 'site-1', '/cell/3/status', 'read', '10.2.9.9'], false, 'another network'],
  [['device-2', 'site-1', '/area/7/', 'read', '192.0.2.1'], true, 'nothing behind the slash of an open pattern'],
  [['device-2', 'site-1', '/area/7', 'read', '192.0.2.1'], false, 'an open pattern without its slash'],
  [['device-2', 'site-1', '/area/7/a/b/c', 'read', '192.0.2.1'], true, 'many segments behind an open pattern'],
  [['device-2', 'site-1', '/area/7/secret/x', 'read', '10.1.2.3'], true, 'a deny of a role that one does not have'],
  [['device-1', 'site-1', '/area/7/secret/x', 'read', '10.1.2.3'], false, 'a deny beats an allow'],
  [['device-1', 'site-1', '/area/7/secret/x', 'read', '10.1.3.3'], true, 'a deny of another network'],
  [['device-9', 'site-2', '/pump/4', 'start', '10.200.0.1'], true, 'a rule for the device itself'],
  [['device-9', 'site-1', '/pump/4', 'start', '10.200.0.1'], false, 'the same in another domain'],
  [['device-9', 'site-2', '/pump/', 'start', '10.200.0.1'], false, 'an empty last segment'],
];

for (const name of engineNames) {
  test(`${name} says what the corpus says`, async (t) => {
    if (name.startsWith('opa-wasm') && !requires(t, 'opa')) return;
    const contender = await engines[name].open(corpus);
    const { answers } = contender.round(cases.map(([request]) => request));
    assert.deepEqual(
      cases.map(([, , what], at) => [what, answers[at] === 1]),
      cases.map(([, allow, what]) => [what, allow]),
    );
  });
}
