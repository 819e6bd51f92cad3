// Throw-away certificates for TLS tests, made with the openssl program so that the tests do not trust our own code.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestIdentity {
  readonly key: string;
  /** Leaf first, PEM. */
  readonly chain: string;
  readonly der: Buffer;
}

export interface TestAuthority {
  readonly root: string;
  readonly rootDer: Buffer;
  issue(uri: string, options?: { readonly days?: number }): TestIdentity;
}

/** A P-256 root that issues leaves with an empty subject and one URI SAN, as our profile does. */
export function testAuthority(name: string): TestAuthority {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-ca-'));
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...newKey, '-keyout', 'root.key', '-out', 'root.pem', '-subj', `/CN=${name}`, '-days', '2');
  let serial = 1;
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return {
    root: read('root.pem'),
    rootDer: new X509Certificate(read('root.pem')).raw,
    issue(uri, { days = 2 } = {}) {
      const base = `leaf${serial++}`;
      writeFileSync(
        join(folder, `${base}.ext`),
        `subjectAltName=critical,URI:${uri}\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n`,
      );
      openssl('req', ...newKey, '-keyout', `${base}.key`, '-out', `${base}.csr`, '-subj', '/');
      const ca = ['-CA', 'root.pem', '-CAkey', 'root.key', '-set_serial', String(serial)];
      openssl(
        'x509',
        '-req',
        '-in',
        `${base}.csr`,
        ...ca,
        '-out',
        `${base}.pem`,
        '-days',
        String(days),
        '-extfile',
        `${base}.ext`,
      );
      const pem = read(`${base}.pem`);
      return { key: read(`${base}.key`), chain: pem, der: new X509Certificate(pem).raw };
    },
  };
}
