import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { interfaceNames, request, slice } from '../../engine/testing/random-policy.ts';
import { now } from '../../engine/testing/sample-slice.ts';
import { decideWithEngine } from '../decide.ts';
import { loadRepository } from '../load.ts';
import { sampleFiles, sampleNow, treeOf } from '../sample-tree.ts';
import { requestOf } from './question.ts';
import { forEachCell, spaceOf } from './space.ts';
import { formatWhoCan, whoCan, whoCanOnSlice } from './who-can.ts';

const devices = ['gateway-1', 'camera-1', 'station-1'];
const states = ['trusted', 'stale', 'quarantined'] as const;

test('who-can lists exactly the subjects and operations that the engine allows when each is asked', () => {
  let listed = 0;
  fc.assert(
    fc.property(slice, fc.constantFrom(...states), (drawn, state) => {
      const engine = decideWithEngine();
      for (const name of interfaceNames) {
        const options = { interface: name, time: now, state, freshness: 'fresh' as const };
        const { permissions } = whoCanOnSlice(drawn, engine, devices, options);
        const expected = new Set<string>();
        for (const subject of [...devices, 'a-device-nobody-knows']) {
          // One space for each subject alone, so that no grouping can hide one.
          const narrowing = { states: [state], freshness: ['fresh' as const], times: [now] };
          const alone = { subjects: [subject], strangers: false, now, narrowing };
          forEachCell(spaceOf(engine, [drawn], name, 'plc-1', alone), (cell) => {
            if (!engine.decide(drawn, cell.request, cell.freshness).allow) return undefined;
            for (const operation of engine.operationsOf(drawn, cell.request)?.sure ?? [])
              expected.add(`${subject} ${operation}`);
            return undefined;
          });
        }
        const found = new Set(permissions.map(({ subject, operation }) => `${subject} ${operation}`));
        assert.deepEqual([...found].sort(), [...expected].sort());
        for (const { example, rule } of permissions) {
          const asked = requestOf(example);
          const decision = engine.decide(drawn, asked.request, asked.freshness);
          assert.deepEqual([decision.allow, decision.rule], [true, rule]);
        }
        listed += found.size;
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(listed > 50, `${listed} listed`);
});

test('whoever a random request allows is listed', () => {
  fc.assert(
    fc.property(slice, fc.array(request, { minLength: 100, maxLength: 100 }), (drawn, requests) => {
      const engine = decideWithEngine();
      const lists = new Map<string, Set<string>>();
      for (const asked of requests) {
        const { allow, operation } = engine.decide(drawn, asked, 'fresh');
        if (!allow) continue;
        const { interface: name } = asked.resource;
        const { state } = asked.subject;
        const key = `${name} ${state}`;
        const options = { interface: name, time: now, state, freshness: 'fresh' as const };
        const list =
          lists.get(key) ??
          new Set(
            whoCanOnSlice(drawn, engine, devices, options).permissions.map(
              (entry) => `${entry.subject} ${entry.operation}`,
            ),
          );
        lists.set(key, list);
        assert.ok(list.has(`${asked.subject.id} ${operation}`), `${asked.subject.id} ${operation}`);
      }
    }),
    { numRuns: 40 },
  );
});

test('a permission says rule, binding, conditions and how much of the operation is open', () => {
  const grants = `grants:
  - {id: reads, subjects: [gateway-1], interface: plc-modbus, operations: [read-process], binding: ip, conditions: {maxRisk: 20}, until: 2026-12-01}
  - {id: views, subjects: [gateway-1, desk-1], interface: hmi-web, operations: [view]}
`;
  const files = { ...sampleFiles, 'grants/cell.yaml': grants };
  const { repository } = loadRepository(treeOf(files), sampleNow);
  assert.ok(repository);
  const options = { state: 'trusted', freshness: 'fresh', time: sampleNow } as const;
  const plc = whoCan(repository, decideWithEngine(), { ...options, interface: 'plc-modbus' });
  assert.deepEqual(
    plc.permissions.map(({ example: _example, ...rest }) => rest),
    [
      {
        subject: 'gateway-1',
        device: 'plc-1',
        operation: 'read-process',
        rule: 'grant:reads',
        place: 'grants/cell.yaml:2',
        bindings: ['ip', 'port+mac+ip'],
        conditions: ['until', 'risk at most 20'],
        extent: 'every',
      },
    ],
  );
  assert.deepEqual(plc.nobodyElse, ['desk-1', 'hmi-1', 'plc-1']);
  // The Casbin model opens /status to the gateway, and nothing to the desk.
  const hmi = whoCan(repository, decideWithEngine(), { ...options, interface: 'hmi-web' });
  assert.deepEqual(
    hmi.permissions.map(({ subject, extent }) => [subject, extent]),
    [['gateway-1', 'some']],
  );
  assert.match(formatWhoCan(hmi), /view \(some of it\)/);
  const later = { ...options, time: Date.UTC(2026, 11, 2) };
  assert.deepEqual(whoCan(repository, decideWithEngine(), { ...later, interface: 'plc-modbus' }).permissions, []);
});
