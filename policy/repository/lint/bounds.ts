// Bounds of an operation that its own requests cannot meet, or that none of them can break.
import type { SliceOperation } from '../../bundle/slice.ts';
import { writes } from '../modbus-functions.ts';
import type { Problems } from '../problems.ts';
import type { Repository } from '../repository.ts';

const coilWrites: ReadonlySet<number> = new Set([5, 15]);

export function lintBounds({ interfaces }: Repository, problems: Problems): void {
  for (const { name, operations, at } of interfaces) {
    for (const operation of operations) {
      for (const header of Object.keys(operation.protocol === 'http' ? (operation.headers ?? {}) : {})) {
        const fault = headerFault(header);
        const where = at('operations', operation.name, 'headers', header);
        if (fault !== undefined) problems.add('POLICY_HEADER_BOUND', where, `${header}: ${fault}`);
      }
      const why = changeFault(operation);
      if (why === undefined) continue;
      const place = at('operations', operation.name, 'maxChangePerMinute');
      problems.add('POLICY_CHANGE_BOUND', place, `${operation.name} of ${name} ${why}`);
    }
  }
}

/** Read elsewhere, or between two machines only (RFC 9110, 7.6.1; RFC 9112, 6). */
const ofTheMessage: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const secretNames = /authorization|cookie|token|secret|passw|api-?key|signature/;

function headerFault(name: string): string | undefined {
  if (ofTheMessage.has(name)) return 'says how the message travels; hosts and maxBodyBytes are bounds of their own';
  if (name.startsWith('x-edgeward-')) return 'is set by the proxy, never by a client';
  return secretNames.test(name) ? 'carries secrets, which every bundle and every record would hold' : undefined;
}

function changeFault(operation: SliceOperation): string | undefined {
  if (operation.protocol !== 'modbus' || operation.maxChangePerMinute === undefined) return undefined;
  if (!operation.functionCodes.some((code) => writes(code))) return 'only reads';
  if (operation.functionCodes.some((code) => coilWrites.has(code))) return 'writes coils';
  // Many servers look at no unit: each number would then be a way to the same register with a history of its own.
  if (operation.units.length !== 1 || operation.units[0] === 0) return 'names not exactly one unit, from 1 upwards';
  return undefined;
}
