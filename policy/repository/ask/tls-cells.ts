// Server names that stand for all of them: each that is written, one below each star, one that nobody wrote, and none.
import type { SliceOperation } from '../../bundle/slice.ts';
import type { Operation } from '../../engine/index.ts';
import type { OperationCells } from './operation-cells.ts';

type TlsOperation = Extract<SliceOperation, { protocol: 'tls' }>;

export function tlsCells(operations: readonly TlsOperation[], read: readonly TlsOperation[]): OperationCells {
  const written = new Set(operations.flatMap(({ names }) => names));
  const exact = [...written].filter((name) => !name.startsWith('*'));
  const below = [...written]
    .filter((name) => name.startsWith('*'))
    .map((name) => {
      let label = 'x';
      while (written.has(`${label}${name.slice(1)}`)) label += 'x';
      return `${label}${name.slice(1)}`;
    });
  const cells = [...new Set([...exact, ...below, 'nobody.invalid', ''])].map((serverName): Operation => ({
    protocol: 'tls',
    serverName,
    alpn: [],
  }));
  const gaps =
    read.length === 0
      ? []
      : ['names under a star, and ALPN, are samples where a Casbin model or a Rego package reads them'];
  return { cells, gaps };
}
