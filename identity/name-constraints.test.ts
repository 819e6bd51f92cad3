import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseCertificate } from './certificate.ts';
import { boolean, context, contextPrimitive, octetString, oid, sequence, setOf, utf8String } from './der.ts';
import { authorityKeyId, basicConstraints, keyUsage, subjectKeyId } from './extensions.ts';
import { generateKey } from './keys.ts';
import { checkNames } from './name-constraints.ts';
import { oids } from './oids.ts';
import { certificatesToPem } from './pem.ts';
import { subjectKeyIdentifier } from './public-key.ts';
import { forgeCertificate, sampleAuthority, sampleNow } from './sample-authority.ts';

const { root } = sampleAuthority();
const authorityKeys = generateKey();
const leafKeys = generateKey();

const ascii = (tag: number) => (text: string) => contextPrimitive(tag, Buffer.from(text, 'ascii'));
const [email, dns, uri] = [ascii(1), ascii(2), ascii(6)];
const ip = (hex: string) => contextPrimitive(7, Buffer.from(hex, 'hex'));
const subtrees = (number: number, bases: Buffer[]) =>
  bases.length === 0 ? [] : [context(number, ...bases.map((base) => sequence(base)))];
const name = (text: string) => sequence(setOf(sequence(oid(oids.commonName), utf8String(text))));

function authorityWith(permitted: Buffer[], excluded: Buffer[]): Buffer {
  const value = sequence(...subtrees(0, permitted), ...subtrees(1, excluded));
  const extensions = [
    basicConstraints({ pathLen: 0 }),
    keyUsage(5),
    subjectKeyId(subjectKeyIdentifier(authorityKeys.publicKey)),
    authorityKeyId(subjectKeyIdentifier(root.keys.publicKey)),
    sequence(oid(oids.nameConstraints), boolean(true), octetString(value)),
  ];
  const subject = name('constrained');
  const forgery = { issuer: root.certificate.subject, subject, publicKey: authorityKeys.publicKey, extensions };
  return forgeCertificate(forgery, root.keys.privateKey);
}

function leafWith(...names: Buffer[]): Buffer {
  const extensions = [
    basicConstraints(undefined),
    keyUsage(0),
    subjectKeyId(subjectKeyIdentifier(leafKeys.publicKey)),
    authorityKeyId(subjectKeyIdentifier(authorityKeys.publicKey)),
    ...(names.length === 0 ? [] : [sequence(oid(oids.subjectAltName), boolean(true), octetString(sequence(...names)))]),
  ];
  const subject = names.length === 0 ? name('x') : sequence();
  return forgeCertificate(
    { issuer: name('constrained'), subject, publicKey: leafKeys.publicKey, extensions },
    authorityKeys.privateKey,
  );
}

const constraints: Readonly<Record<string, readonly [Buffer[], Buffer[]]>> = {
  'URI of one host permitted': [[uri('plant.example')], []],
  'URIs below a domain permitted': [[uri('.plant.example')], []],
  'two hosts permitted': [[uri('grid.example'), uri('plant.example')], []],
  'URI of one host excluded': [[], [uri('plant.example')]],
  'permitted and excluded': [[uri('plant.example')], [uri('plant.example')]],
  'DNS permitted': [[dns('plant.example')], []],
  'DNS below a domain permitted': [[dns('.plant.example')], []],
  'DNS excluded': [[], [dns('plant.example')]],
  'every DNS name excluded': [[], [dns('')]],
  'IPv4 network permitted': [[ip('0a000000ff000000')], []],
  'every IPv4 address excluded': [[], [ip('0000000000000000')]],
  'every IPv6 address excluded': [[], [ip('00'.repeat(32))]],
  'the lock-down': [
    [uri('plant.example'), dns('invalid')],
    [ip('0000000000000000'), ip('00'.repeat(32))],
  ],
};
const names: Readonly<Record<string, Buffer[]>> = {
  'the host': [uri('app://plant.example/device/a')],
  'the host, without path': [uri('app://plant.example')],
  'the host in capitals': [uri('app://PLANT.example/device/a')],
  'a host below': [uri('app://a.plant.example/x')],
  'a host that only ends like it': [uri('app://notplant.example/x')],
  'a host that only begins like it': [uri('app://plant.example.org/x')],
  'another host': [uri('https://evil.example/plant.example')],
  'the host and another': [uri('app://plant.example/a'), uri('app://evil.example/a')],
  'a DNS name': [dns('plant.example')],
  'a DNS name below': [dns('a.plant.example')],
  'a DNS name that only ends like it': [dns('notplant.example')],
  'a DNS name of its own': [dns('evil.example')],
  'an IPv4 address inside': [ip('0a010203')],
  'an IPv4 address outside': [ip('0b010203')],
  'an IPv6 address': [ip('20010db8000000000000000000000001')],
  'a URI and a DNS name': [uri('app://plant.example/a'), dns('evil.example')],
  'no name': [],
};

function accepts(authority: Buffer, leaf: Buffer): boolean {
  try {
    checkNames(parseCertificate(leaf), parseCertificate(authority));
    return true;
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'IDENTITY_NAME_CONSTRAINED');
    return false;
  }
}

describe('name constraints, as openssl judges them', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'edgeward-names-'));
    writeFileSync(join(folder, 'root.pem'), certificatesToPem([root.certificate.raw]));
  });
  after(() => rmSync(folder, { recursive: true }));

  function opensslAccepts(authority: Buffer, leaf: Buffer): boolean {
    writeFileSync(join(folder, 'authority.pem'), certificatesToPem([authority]));
    writeFileSync(join(folder, 'leaf.pem'), certificatesToPem([leaf]));
    const args = [
      'verify',
      '-attime',
      String(sampleNow / 1000),
      '-CAfile',
      'root.pem',
      '-untrusted',
      'authority.pem',
      'leaf.pem',
    ];
    try {
      execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
      return true;
    } catch (error) {
      const text = String((error as { stderr?: Buffer }).stderr);
      assert.match(text, /subtree violation|unsupported name/, text);
      return false;
    }
  }

  for (const [constraint, [permitted, excluded]] of Object.entries(constraints)) {
    test(constraint, () => {
      const authority = authorityWith(permitted, excluded);
      for (const [what, parts] of Object.entries(names)) {
        const leaf = leafWith(...parts);
        assert.equal(accepts(authority, leaf), opensslAccepts(authority, leaf), what);
      }
    });
  }
});

describe('name constraints', () => {
  test('a URI whose host cannot be compared is refused, permitted or excluded', () => {
    for (const odd of ['app:plant.example', 'app://plant.example:1/a', 'app://x@plant.example/a', 'urn:a']) {
      assert.equal(accepts(authorityWith([uri('plant.example')], []), leafWith(uri(odd))), false, odd);
      assert.equal(accepts(authorityWith([], [uri('evil.example')]), leafWith(uri(odd))), false, odd);
      assert.equal(accepts(authorityWith([dns('plant.example')], []), leafWith(uri(odd))), true, odd);
    }
  });

  test('a constraint of another kind refuses everything below it', () => {
    const leaf = leafWith(uri('app://plant.example/a'));
    assert.equal(accepts(authorityWith([email('plant.example')], []), leaf), false);
    assert.equal(accepts(authorityWith([], [email('plant.example')]), leaf), false);
  });

  test('an authority without constraints permits every name', () => {
    assert.equal(accepts(root.certificate.raw, leafWith(dns('anything.example'))), true);
  });
});
