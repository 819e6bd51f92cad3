// `openssl s_client` with an SVID: a client of TLS that is not ours, by which a plain protocol is spoken.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { certificatesToPem } from '../../identity/index.ts';
import type { TestSvid } from '../support/pki.ts';

export interface OpensslClient {
  readonly write: (bytes: Buffer) => void;
  /** The first `count` bytes that came, or fewer when the connection ended before. */
  readonly read: (count: number) => Promise<Buffer>;
  /** Resolves with what it said on standard error when the connection has ended. */
  readonly ended: Promise<string>;
}

/** Files of an SVID for foreign programs, until the test ends. */
export function svidFiles(t: TestContext, svid: TestSvid): { readonly chain: string; readonly key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'ew-svid-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [chain, key] = [join(folder, 'chain.pem'), join(folder, 'key.pem')];
  writeFileSync(chain, svid.chainPem);
  writeFileSync(key, svid.keyPem, { mode: 0o600 });
  return { chain, key };
}

export const rootFile = (t: TestContext, root: Buffer): string => {
  const folder = mkdtempSync(join(tmpdir(), 'ew-root-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'root.pem'), certificatesToPem([root]));
  return join(folder, 'root.pem');
};

export function openssl(t: TestContext, port: number, ...args: readonly string[]): OpensslClient {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-quiet', ...args]);
  t.after(() => child.kill('SIGKILL'));
  let received = Buffer.alloc(0);
  let said = '';
  let over = false;
  let wake: () => void = () => undefined;
  child.stdin.on('error', () => undefined);
  child.stdout.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<string>((resolve) => {
    child.once('close', () => {
      over = true;
      wake();
      resolve(said);
    });
  });
  return {
    write: (bytes) => void child.stdin.write(bytes),
    ended,
    async read(count) {
      for (;;) {
        if (received.length >= count || over) break;
        await new Promise<void>((resolve) => (wake = resolve));
      }
      const found = received.subarray(0, count);
      received = received.subarray(found.length);
      return found;
    },
  };
}

export function opensslWith(t: TestContext, port: number, svid: TestSvid, ...args: readonly string[]): OpensslClient {
  const { chain, key } = svidFiles(t, svid);
  return openssl(t, port, '-cert', chain, '-cert_chain', chain, '-key', key, ...args);
}
