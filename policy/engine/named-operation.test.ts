import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { sliceSchema } from '../bundle/slice.ts';
import { compileSlice, lookOnly, type Operation, requireFulfilment } from './index.ts';
import { unusedUsage } from './usage.ts';
import * as random from './testing/random-policy.ts';
import { ask, casbinModel, get, meta, sampleSlice } from './testing/sample-slice.ts';
import type { LooseSlice } from './testing/sample-slice.ts';

const named = (name: string): Operation => ({ protocol: 'named', name });

function answer(interfaceName: string, name: string, change?: (slice: LooseSlice) => void, subject = 'gateway-1') {
  const { allow, reason, rule, operation } = compileSlice(sampleSlice(change), meta).decide(
    ask(interfaceName, named(name), { id: subject }),
    'fresh',
  );
  return allow ? `${rule} ${operation}` : `${reason} ${rule}`.trim();
}

test('an operation by name is what its grant opens', () => {
  assert.equal(answer('web', 'status'), 'grant:web status');
  assert.equal(answer('plc-modbus', 'read'), 'grant:reads read');
  assert.equal(answer('web', 'admin', undefined, 'station-1'), 'grant:web-admin admin');
  assert.equal(answer('web', 'status', undefined, 'station-1'), 'no-grant');
  assert.equal(answer('web', 'nothing'), 'unknown-operation');
  assert.equal(answer('nowhere', 'status'), 'unknown-interface');
});

test('a path or a register denied inside an operation denies its name', () => {
  // `files` is /files/**, and /files/secret of `admin` is denied to this subject.
  assert.equal(answer('web', 'files'), 'denied deny:no-secrets');
  const engine = compileSlice(sampleSlice(), meta);
  assert.equal(engine.decide(ask('web', get('/files/a')), 'fresh').allow, true, 'a request beside it is open');
  const denied = answer('plc-modbus', 'read', ({ denies, interfaces }) => {
    const registers = interfaces[0] as { operations: object[] };
    registers.operations.push({
      name: 'one',
      protocol: 'modbus',
      functionCodes: [3],
      units: [0],
      addresses: [[99, 120]],
      class: 'normal',
      island: false,
    });
    denies.push({
      id: 'one',
      subjects: [],
      interface: 'plc-modbus',
      device: 'plc-1',
      operations: ['one'],
      place: 'd:1',
    });
  });
  assert.equal(denied, 'denied deny:one');
});

test('a deny that differs in case or in a last slash reaches the name', () => {
  const denied =
    (path: string) =>
    ({ interfaces, denies }: LooseSlice): void => {
      const web = interfaces[1] as { operations: object[] };
      web.operations.push({
        name: 'other',
        protocol: 'http',
        methods: ['GET'],
        paths: [path],
        class: 'normal',
        island: false,
      });
      denies.splice(0, 2, {
        id: 'd',
        subjects: [],
        interface: 'web',
        device: 'plc-1',
        operations: ['other'],
        place: 'd:1',
      });
    };
  assert.equal(answer('web', 'status', denied('/STATUS')), 'denied deny:d');
  assert.equal(answer('web', 'status', denied('/status/')), 'denied deny:d');
  assert.equal(answer('web', 'status', denied('/api/a/state/')), 'denied deny:d');
  assert.equal(answer('web', 'status', denied('/status/**')), 'denied deny:d');
  assert.equal(answer('web', 'status', denied('/status/a')), 'grant:web status');
});

test('where the server normalises paths, a deny reaches every name with a method of its own', () => {
  const site =
    (normalise: string[]) =>
    ({ interfaces, grants, denies }: LooseSlice): void => {
      Object.assign(interfaces[1] as object, normalise.length === 0 ? {} : { normalise });
      denies.splice(0, 2, {
        id: 'd',
        subjects: [],
        interface: 'web',
        device: 'plc-1',
        operations: ['admin'],
        place: 'd:1',
      });
      grants.length = 4;
    };
  assert.equal(answer('web', 'status', site([])), 'grant:web status');
  const engine = compileSlice(sampleSlice(site(['dot-segments'])), meta);
  assert.equal(engine.decide(ask('web', get('/admin/../status')), 'fresh').reason, 'denied', 'an instance of it');
  assert.equal(answer('web', 'status', site(['dot-segments'])), 'denied deny:d');
});

test('an operation inside a granted one is open, one that reaches out of it is not', () => {
  const wide = ({ interfaces, grants, denies }: LooseSlice): void => {
    const web = interfaces[1] as { operations: object[] };
    const add = (name: string, paths: string[], methods = ['GET']): void =>
      void web.operations.push({ name, protocol: 'http', methods, paths, class: 'normal', island: false });
    add('all', ['/public/**']);
    add('some', ['/public/a/*', '/public/b']);
    add('more', ['/public/a', '/private']);
    add('changes', ['/public/a'], ['GET', 'POST']);
    grants.push({ ...grants[3], id: 'all', operations: ['all'] });
    denies.length = 0;
  };
  assert.equal(answer('web', 'some', wide), 'grant:all all');
  assert.equal(answer('web', 'more', wide), 'no-grant');
  assert.equal(answer('web', 'changes', wide), 'no-grant');
});

test('a Casbin model is asked for every request of the name, and refuses where they cannot be listed', () => {
  const narrow =
    (...paths: string[]) =>
    ({ interfaces }: LooseSlice): void => {
      const entry = interfaces[2] as { operations: object[] };
      const operation = { protocol: 'http', methods: ['GET'], class: 'normal', island: false };
      entry.operations = [{ ...operation, name: 'all', paths }];
    };
  assert.ok(casbinModel.includes('keyMatch2'));
  assert.equal(answer('narrow', 'all', narrow('/pumps/1', '/pumps/2')), 'grant:narrow all');
  assert.equal(answer('narrow', 'all', narrow('/pumps/1', '/pumps/9')), 'casbin casbin:app');
  assert.equal(answer('narrow', 'all', narrow('/pumps/*')), 'casbin casbin:app');
});

test('what the requests of a name cost a Casbin model together is bounded as one decision is', () => {
  const long = 'a'.repeat(700);
  const costly =
    (many: number) =>
    ({ interfaces, casbin }: LooseSlice): void => {
      const paths = Array.from({ length: many }, (_, n) => `/${long}${n}`);
      const operation = { protocol: 'http', methods: ['GET'], class: 'normal', island: false };
      (interfaces[2] as { operations: object[] }).operations = [{ ...operation, name: 'all', paths }];
      const large = Array.from({ length: 4 }, (_, n) => `p, gateway-1, ^/(a?){200}b${n}$, GET, deny`);
      const model = casbinModel.replace('keyMatch2', 'regexMatch');
      const policy = ['p, gateway-1, ^/a.*$, GET, allow', ...large, ''].join('\n');
      casbin.splice(0, 1, ...casbin.map((one) => ({ ...one, model, policy })));
    };
  assert.equal(answer('narrow', 'all', costly(1)), 'grant:narrow all');
  assert.equal(answer('narrow', 'all', costly(16)), 'casbin casbin:app');
});

test('a port is opened by the name of any of its operations', () => {
  const engine = compileSlice(sampleSlice(), meta);
  const decide = (name: string) =>
    engine.decide(ask('console', named(name), { binding: 'port+mac+ip' }), 'fresh').reason;
  assert.equal(decide('open'), 'granted');
  assert.equal(decide('close'), 'unknown-operation');
});

test('what an obligation that cannot be fulfilled asked for is told with the denial', () => {
  const decision = {
    ...compileSlice(sampleSlice(), meta).decide(ask('web', named('status')), 'fresh'),
    obligations: [{ id: 'log' as const }, { id: 'step-up' as const, level: 'mfa' }],
  };
  const denied = requireFulfilment(decision, { ids: ['log'], custom: [] });
  assert.deepEqual([denied.allow, denied.unfulfilled], [false, decision.obligations]);
  assert.equal(requireFulfilment(decision, { ids: ['log'], custom: [], anyLevel: true }).allow, true);
});

test('a name is allowed only where every request is that is an instance of it', () => {
  let allowed = 0;
  let both = 0;
  fc.assert(
    fc.property(
      random.slice,
      fc.array(random.request, { minLength: 12, maxLength: 12 }),
      random.freshness,
      (slice, requests, fresh) => {
        const engine = compileSlice(sliceSchema.parse(slice), meta);
        for (const request of requests) {
          for (const name of ['one', 'two', 'three']) {
            const byName = engine.decide({ ...request, operation: named(name) }, fresh, lookOnly(unusedUsage));
            if (!byName.allow) continue;
            allowed++;
            if (engine.operationsOf(request)?.sure.includes(name) !== true) continue;
            both++;
            if (!engine.decide(request, fresh).allow) return false;
          }
        }
        return true;
      },
    ),
    { numRuns: 1_500 },
  );
  assert.ok(allowed > 300 && both > 50, `${allowed} names allowed, ${both} with a request of theirs`);
});
