// An interface that says how its server reads paths: a spelling of a granted path is allowed, one of a denied path denied, and
// a deny reaches what any reader on the way could see.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { pathNormalisations } from '../bundle/path-normalisations.ts';
import { CodedError } from '../../runtime/errors.ts';
import { compileSlice, type Engine } from './engine.ts';
import { pathProfile } from './path-profile.ts';
import { ask, casbinModel, get, meta, sampleSlice } from './testing/sample-slice.ts';

interface Site {
  readonly normalise?: readonly string[];
  readonly granted?: readonly string[];
  readonly denied?: readonly string[];
  readonly casbin?: string;
}

const http = (name: string, paths: readonly string[]): object => ({
  name,
  protocol: 'http',
  methods: ['GET'],
  paths,
  class: 'normal',
  island: false,
});

function engineOf({ normalise, granted = ['/status', '/files/**'], denied = [], casbin }: Site): Engine {
  const operations = [http('granted', granted), ...(denied.length === 0 ? [] : [http('denied', denied)])];
  const slice = sampleSlice((loose) => {
    const place = 'interfaces/site.yaml:3';
    loose.interfaces.push({
      name: 'site',
      device: 'plc-1',
      protocol: 'http',
      transport: 'tcp',
      port: 8080,
      operations,
      onEnforcerDeath: 'closed',
      auditDurable: false,
      place,
      ...(normalise === undefined ? {} : { normalise }),
      ...(casbin === undefined ? {} : { casbin: 'site' }),
    });
    loose.grants.push({
      id: 'site',
      subjects: ['gateway-1'],
      interface: 'site',
      device: 'plc-1',
      operations: ['granted'],
      binding: 'svid',
      conditions: {},
      place: 'grants/site.yaml:3',
    });
    if (denied.length > 0) {
      loose.denies.push({
        id: 'site',
        subjects: [],
        interface: 'site',
        device: 'plc-1',
        operations: ['denied'],
        place: 'grants/site.yaml:9',
      });
    }
    if (casbin !== undefined) {
      loose.casbin.push({ name: 'site', model: casbinModel, policy: casbin, place: 'casbin/site/model.conf:1' });
    }
  });
  return compileSlice(slice, meta);
}

const reason = (engine: Engine, target: string): string => engine.decide(ask('site', get(target)), 'fresh').reason;
const proxyTerms = ['percent-encoding', 'backslashes', 'dot-segments', 'merge-slashes'];

test('without a profile a spelling of a granted path is ambiguous', () => {
  const engine = engineOf({});
  assert.equal(reason(engine, '/status'), 'granted');
  for (const target of ['//status', '/./status', '/%73tatus', '/x/../status', '/Status', '/status;x', '/status/']) {
    assert.notEqual(reason(engine, target), 'granted', target);
  }
});

test('with a profile what normalises to a granted path is allowed, what does not is not', () => {
  const engine = engineOf({ normalise: proxyTerms });
  for (const target of [
    '/status',
    '//status',
    '/./status',
    '/%73tatus',
    '/x/../status',
    '/files\\a',
    '/status?x=//..',
  ]) {
    assert.equal(reason(engine, target), 'granted', target);
  }
  for (const target of [
    '/files/../admin',
    '/files/%2e%2e/admin',
    '//admin',
    '/status/..',
    '/%61dmin',
    '/files\\..\\admin',
  ]) {
    assert.equal(reason(engine, target), 'unknown-operation', target);
  }
  for (const target of ['/status;x', '/files/a%2fb', '/files//../status', '/status#x', '/status%00', '/%2573tatus']) {
    assert.equal(reason(engine, target), 'ambiguous', target);
  }
});

test('with a profile what normalises to a denied path is denied, and so is what any reader on the way sees as one', () => {
  const engine = engineOf({ normalise: proxyTerms, granted: ['/**'], denied: ['/admin/**'] });
  assert.equal(reason(engine, '/files/a'), 'granted');
  assert.equal(reason(engine, '//files/./a'), 'granted');
  for (const target of [
    ['/admin/x', '//admin/x', '/%61dmin/x', '/files/../admin/x', '/ADMIN/x'],
    // These end elsewhere, but not for a router that compares before it normalises.
    ['/admin/../files/a', '/admin/%2e%2e/files/a', '/admin\\..\\files/a'],
  ].flat()) {
    assert.equal(reason(engine, target), 'denied', target);
  }
});

test('a Casbin model is asked about the path that the server looks at', () => {
  const engine = engineOf({ normalise: proxyTerms, casbin: 'p, gateway-1, /files/a, GET, allow\n' });
  assert.equal(reason(engine, '/x/../files//a'), 'granted');
  assert.equal(reason(engine, '/files/a/../b'), 'casbin');
});

test('case and last slash: patterns are written as the interface normalises them, or do not compile', () => {
  const engine = engineOf({ normalise: ['case', 'trailing-slash'] });
  for (const target of ['/Status', '/STATUS/', '/files/A/']) assert.equal(reason(engine, target), 'granted', target);
  for (const path of ['/Status', '/status/']) {
    assert.throws(
      () => engineOf({ normalise: ['case', 'trailing-slash'], granted: [path] }),
      (error) => error instanceof CodedError && error.code === 'ENGINE_PATH_PATTERN',
      path,
    );
  }
});

test('an explanation says which path was read', () => {
  const { steps } = engineOf({ normalise: proxyTerms }).explain(ask('site', get('/x/../status')), 'fresh');
  assert.ok(steps.some(({ step, outcome }) => step === 'operation' && outcome === 'granted, read as /status'));
});

test('property: nothing is allowed whose normal form is not, and nothing that some reader sees as denied', () => {
  const pieces = fc.constantFrom(
    '/',
    '//',
    '/./',
    '/../',
    '\\',
    '%2f',
    '%5c',
    '%2e',
    ';x',
    'status',
    'files',
    'admin',
    'Admin',
    '%61dmin',
    'a',
    '/a',
    '?',
    '%',
  );
  const target = fc.array(pieces, { minLength: 1, maxLength: 8 }).map((parts) => `/${parts.join('')}`);
  const engines = new Map<string, Engine>();
  let allowed = 0;
  fc.assert(
    fc.property(fc.subarray([...pathNormalisations]), target, (terms, text) => {
      const key = terms.join(' ');
      const site = {
        ...(terms.length === 0 ? {} : { normalise: terms }),
        granted: ['/**'],
        denied: ['/admin/**', '/admin'],
      };
      const engine = engines.get(key) ?? engineOf(site);
      engines.set(key, engine);
      if (reason(engine, text) !== 'granted') return;
      allowed++;
      const reading = pathProfile(terms).read(text);
      assert.ok(reading.kind === 'segments');
      assert.equal(reason(engine, reading.path ?? ''), 'granted');
      for (const segments of [reading.segments, ...pathProfile(terms).otherReadings(text)]) {
        assert.notEqual(segments[0]?.toLowerCase(), 'admin', `${text} with ${key}`);
      }
    }),
    { numRuns: 5_000 },
  );
  assert.ok(allowed > 300, `${allowed} allowed`);
});
