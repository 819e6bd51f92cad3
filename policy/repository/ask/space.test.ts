// The cells of a space stand for every request: whatever a random request is allowed, some cell with the same subject,
// state, binding and freshness is allowed too.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Slice } from '../../bundle/slice.ts';
import type { Asked, Operation } from '../../engine/index.ts';
import { freshness, interfaceNames, request, slice } from '../../engine/testing/random-policy.ts';
import { now } from '../../engine/testing/sample-slice.ts';
import { decideWithEngine, type SliceEngine } from '../decide.ts';
import { changesSomething, operationCells } from './operation-cells.ts';
import { requestOf } from './question.ts';
import { forEachCell, spaceOf } from './space.ts';

const devices = ['gateway-1', 'camera-1', 'station-1'];
const threeDaysMs = 3 * 86_400_000;

const question: fc.Arbitrary<Asked> = fc
  .tuple(request, freshness, fc.integer({ min: 0, max: threeDaysMs }))
  .map(([asked, fresh, later]) => ({
    request: { ...asked, context: { ...asked.context, time: now + later } },
    freshness: fresh,
  }));

/** What can be said of a request without saying which it is: the scopes of invariants that it lies in. */
function traitsOf(engine: SliceEngine, drawn: Slice, { request: asked, freshness: fresh }: Asked): string[] {
  const { subject, operation, resource } = asked;
  const base = [resource.interface, subject.id, subject.state, subject.binding, fresh].join(' ');
  const { sure = [], possible = [] } = engine.operationsOf(drawn, asked) ?? {};
  const exactly = isOnTheWire(operation) ? [`exactly ${sure.join(' ')}`] : [];
  return [changesSomething(operation) ? 'writes' : 'reads', ...possible, ...exactly].map((name) => `${base} ${name}`);
}

/** Nobody can send a function 6 of two registers, or as many values as it likes. */
function isOnTheWire(operation: Operation): boolean {
  if (operation.protocol !== 'modbus') return true;
  const { functionCode, quantity, values } = operation;
  if (functionCode === 6) return quantity === 1 && values.length === 1;
  if (functionCode === 16) return values.length === quantity;
  if (functionCode === 22) return quantity === 1;
  if (functionCode === 23) return values.length === 0 || values.length === quantity;
  return true;
}

/** Scopes in which some cell is allowed. */
function openScopes(engine: SliceEngine, drawn: Slice): Set<string> {
  const open = new Set<string>();
  for (const name of interfaceNames) {
    const space = spaceOf(engine, [drawn], name, 'plc-1', { subjects: devices, strangers: true, now });
    assert.deepEqual(space.gaps, []);
    forEachCell(space, ({ request: asked, freshness: fresh, members }) => {
      if (!engine.decide(drawn, asked, fresh).allow) return undefined;
      for (const id of members) {
        const of = { request: { ...asked, subject: { ...asked.subject, id } }, freshness: fresh };
        for (const trait of traitsOf(engine, drawn, of)) open.add(trait);
      }
      return undefined;
    });
  }
  return open;
}

test('what holds in every cell holds for every request', () => {
  let allowed = 0;
  fc.assert(
    fc.property(slice, fc.array(question, { minLength: 400, maxLength: 400 }), (drawn, questions) => {
      const engine = decideWithEngine();
      const open = openScopes(engine, drawn);
      for (const asked of questions) {
        if (!engine.decide(drawn, asked.request, asked.freshness).allow) continue;
        allowed += 1;
        for (const trait of traitsOf(engine, drawn, asked)) assert.ok(open.has(trait), trait);
      }
    }),
    { numRuns: 8 },
  );
  assert.ok(allowed > 20, `${allowed} allowed`);
});

/** A named method, a named function and unit, an action: what a cell has to share with the request it stands for. */
function kindOf(operation: Operation): string {
  if (operation.protocol === 'http') return operation.method;
  if (operation.protocol === 'mqtt') return operation.action;
  return operation.protocol === 'modbus' ? `${operation.functionCode} of ${operation.unit}` : '';
}

test('for every request some cell is an instance of the same operations', () => {
  fc.assert(
    fc.property(slice, fc.array(request, { minLength: 60, maxLength: 60 }), (drawn, questions) => {
      const engine = decideWithEngine();
      // Cells are of one subject, and of one that is known.
      const subject = 'gateway-1';
      const cells = questions
        .slice(0, 1)
        .map((one) => ({ ...one, subject: { ...one.subject, id: subject } }))
        .flatMap((any) =>
          drawn.interfaces.flatMap(({ name, protocol, operations }) => {
            const resource = { interface: name, attributes: {} };
            return operationCells(protocol, operations, [], any.subject.id).cells.map((operation) => {
              const { sure = [], possible = [] } = engine.operationsOf(drawn, { ...any, operation, resource }) ?? {};
              return { kind: `${name} ${kindOf(operation)}`, sure, possible };
            });
          }),
        );
      const groups = Map.groupBy(cells, ({ kind, sure }) => JSON.stringify([kind, sure]));
      const kinds = new Set(cells.map(({ kind }) => kind));
      for (const drawnOne of questions.filter(({ operation }) => isOnTheWire(operation))) {
        const asked = { ...drawnOne, subject: { ...drawnOne.subject, id: subject } };
        const { sure = [], possible = [] } = engine.operationsOf(drawn, asked) ?? {};
        const kind = `${asked.resource.interface} ${kindOf(asked.operation)}`;
        // Methods, functions and units that nobody named have one cell for all of them.
        if (!kinds.has(kind)) continue;
        const alike = groups.get(JSON.stringify([kind, sure])) ?? [];
        const what = JSON.stringify([asked.operation, sure, possible]);
        assert.ok(
          alike.some((cell) => cell.possible.every((name) => possible.includes(name))),
          what,
        );
        for (const name of possible)
          assert.ok(
            alike.some((cell) => cell.possible.includes(name)),
            what,
          );
      }
    }),
    { numRuns: 150 },
  );
});

test('every cell is a request that a test can ask', () => {
  fc.assert(
    fc.property(slice, (drawn) => {
      const engine = decideWithEngine();
      for (const name of interfaceNames) {
        let left = 50;
        const narrowing = { states: ['trusted' as const], freshness: ['fresh' as const] };
        forEachCell(
          spaceOf(engine, [drawn], name, 'plc-1', { subjects: devices, strangers: false, now, narrowing }),
          (cell) => {
            assert.deepEqual(requestOf(cell.question()), { request: cell.request, freshness: cell.freshness });
            left -= 1;
            return left === 0 ? 'stop' : undefined;
          },
        );
      }
    }),
    { numRuns: 20 },
  );
});
