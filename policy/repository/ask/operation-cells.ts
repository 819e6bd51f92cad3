// Operations on the wire that stand for every one that an interface can be asked.
import type { SliceOperation } from '../../bundle/slice.ts';
import type { Operation } from '../../engine/index.ts';
import { writes } from '../modbus-functions.ts';
import { changesOverHttp, httpCells } from './http-cells.ts';
import { modbusCells } from './modbus-cells.ts';
import { mqttCells } from './mqtt-cells.ts';
import { tlsCells } from './tls-cells.ts';

export interface OperationCells {
  readonly cells: readonly Operation[];
  /** What they do not stand for, in words; empty when they stand for every request. */
  readonly gaps: readonly string[];
}

type Of<P extends SliceOperation['protocol']> = Extract<SliceOperation, { protocol: P }>;

/** `subject`: who asks, where operations say what is its own (`{device}`). `read`: those of the operations whose path, register or unit something besides their own patterns decides by. */
export function operationCells(
  protocol: SliceOperation['protocol'],
  operations: readonly SliceOperation[],
  read: readonly SliceOperation[],
  subject: string,
): OperationCells {
  const of = <P extends SliceOperation['protocol']>(all: readonly SliceOperation[], wanted: P): Of<P>[] =>
    all.filter((operation): operation is Of<P> => operation.protocol === wanted);
  switch (protocol) {
    case 'http':
      return httpCells(of(operations, 'http'), of(read, 'http'));
    case 'modbus':
      return modbusCells(of(operations, 'modbus'), of(read, 'modbus'));
    case 'mqtt':
      return mqttCells(of(operations, 'mqtt'), of(read, 'mqtt'), subject);
    case 'tls':
      return tlsCells(of(operations, 'tls'), of(read, 'tls'));
    case 'port':
      return { cells: [{ protocol: 'port' }], gaps: [] };
  }
}

/** Whether the request can change something behind the interface; what an opaque port carries is unknown. */
export function changesSomething(operation: Operation): boolean {
  switch (operation.protocol) {
    case 'http':
      return changesOverHttp(operation.method);
    case 'modbus':
      return writes(operation.functionCode);
    case 'mqtt':
      return operation.action === 'publish';
    case 'tls':
    case 'port':
    case 'named':
      return true;
  }
}
