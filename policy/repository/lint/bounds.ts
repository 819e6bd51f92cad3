// Bounds of an operation that its own requests cannot meet, or that none of them can break.
import type { SliceOperation } from '../../bundle/slice.ts';
import { writes } from '../modbus-functions.ts';
import type { Problems } from '../problems.ts';
import type { Repository } from '../repository.ts';

const coilWrites: ReadonlySet<number> = new Set([5, 15]);

export function lintBounds({ interfaces }: Repository, problems: Problems): void {
  for (const { name, operations, at } of interfaces) {
    for (const operation of operations) {
      const why = changeFault(operation);
      if (why === undefined) continue;
      const place = at('operations', operation.name, 'maxChangePerMinute');
      problems.add('POLICY_CHANGE_BOUND', place, `${operation.name} of ${name} ${why}`);
    }
  }
}

function changeFault(operation: SliceOperation): string | undefined {
  if (operation.protocol !== 'modbus' || operation.maxChangePerMinute === undefined) return undefined;
  if (!operation.functionCodes.some((code) => writes(code))) return 'only reads';
  return operation.functionCodes.some((code) => coilWrites.has(code)) ? 'writes coils' : undefined;
}
