// The choice between netlink and nft.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../runtime/log.ts';
import { linuxErrors } from '../../runtime/linux.ts';
import { kernelTable } from './backend.ts';
import type { FirewallBackend } from './backend.ts';
import type { KernelTable } from './kernel.ts';

const netlink = (): KernelTable => ({
  backend: 'netlink',
  replace: () => Promise.resolve(),
  change: () => Promise.resolve(),
  read: () => Promise.resolve(undefined),
  wrote: () => false,
  remove: () => Promise.resolve(),
  close: () => undefined,
});

/** The backend after a first operation, the programs that ran, and what was logged. */
async function chosen(backend: FirewallBackend, open: () => KernelTable) {
  const programs: string[] = [];
  const lines: string[] = [];
  const log = createLogger({
    name: 'test',
    level: 'error',
    destination: { write: (line: string) => lines.push(line) },
  });
  const table = kernelTable(
    backend,
    ([program = '']) => {
      programs.push(program);
      return Promise.resolve({ code: 1, stdout: '', stderr: 'No such file or directory' });
    },
    log,
    open,
  );
  await table.read();
  return { backend: table.backend, programs, lines };
}

const failing = (code: 'LINUX_UNAVAILABLE' | 'LINUX_CALL' | 'LINUX_PERMISSION') => (): KernelTable => {
  throw linuxErrors.error(code, 'koffi does not load');
};

test('auto is netlink; nft where netlink is not to be had, loudly; each by name is that one', async () => {
  assert.deepEqual(await chosen('auto', netlink), { backend: 'netlink', programs: [], lines: [] });
  for (const code of ['LINUX_UNAVAILABLE', 'LINUX_CALL'] as const) {
    const { lines, ...rest } = await chosen('auto', failing(code));
    assert.deepEqual(rest, { backend: 'nft', programs: ['nft', 'nft'] });
    assert.match(lines.join(''), /netlink cannot be used.*/);
  }
  assert.deepEqual(await chosen('nft', failing('LINUX_CALL')), { backend: 'nft', programs: ['nft', 'nft'], lines: [] });
});

test('a missing right is no reason to try another way, and netlink by name is not replaced', async () => {
  await assert.rejects(chosen('auto', failing('LINUX_PERMISSION')), { code: 'LINUX_PERMISSION' });
  await assert.rejects(chosen('netlink', failing('LINUX_UNAVAILABLE')), { code: 'LINUX_UNAVAILABLE' });
});
