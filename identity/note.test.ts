import assert from 'node:assert/strict';
import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../runtime/errors.ts';
import { formatCheckpoint, parseCheckpoint, signCheckpoint, verifyCheckpoint } from './checkpoint.ts';
import { formatVerifierKey, generateNoteKey, parseVerifierKey, signNote, verifyNote } from './note.ts';

const name = 'plant.example/audit';
const keys = generateNoteKey();
const verifier = parseVerifierKey(formatVerifierKey(name, keys.publicKey));
const signer = { name, key: keys.privateKey };

// The example of golang.org/x/mod/sumdb/note, which the format comes from.
const peter = {
  vkey: 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  skey: 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz',
  text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  line: '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n',
};

describe('signed notes', () => {
  test('the published example verifies', () => {
    const { text, signedBy } = verifyNote(`${peter.text}\n${peter.line}`, [parseVerifierKey(peter.vkey)]);
    assert.equal(text, peter.text);
    assert.deepEqual(signedBy, ['PeterNeumann']);
  });

  test('what is signed verifies, also beside signatures of strangers', () => {
    const line = fc
      .string({ unit: 'grapheme', maxLength: 30 })
      .filter((text) => !/\p{Cc}/u.test(text) && text.isWellFormed());
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 5 }), (lines) => {
        const text = lines.map((one) => `${one}\n`).join('');
        const stranger = { name: 'witness.example', key: generateNoteKey().privateKey };
        const note = signNote(text, stranger, signer);
        assert.deepEqual(verifyNote(note, [verifier]), { text, signedBy: [name] });
      }),
      { numRuns: 50 },
    );
  });

  const good = signNote('hello\n', signer);
  const bad: Readonly<Record<string, readonly [string, string]>> = {
    'without signatures': ['IDENTITY_NOTE_INVALID', 'hello\n'],
    'without a newline at its end': ['IDENTITY_NOTE_INVALID', good.slice(0, -1)],
    'with a carriage return': ['IDENTITY_NOTE_INVALID', good.replace('hello', 'hello\r')],
    'with a hyphen for the dash': ['IDENTITY_NOTE_INVALID', good.replace('—', '-')],
    'with two spaces': ['IDENTITY_NOTE_INVALID', good.replace(`${name} `, `${name}  `)],
    'with text after the signatures': ['IDENTITY_NOTE_INVALID', `${good}x\n`],
    'with broken base64': ['IDENTITY_NOTE_INVALID', `${good.slice(0, -3)}\n`],
    'with a signature that is too short': ['IDENTITY_NOTE_INVALID', `${good}— x AAA=\n`],
    'with another text': ['IDENTITY_NOTE_SIGNATURE_INVALID', good.replace('hello', 'hallo')],
    'signed by a stranger alone': [
      'IDENTITY_NOTE_SIGNATURE_INVALID',
      signNote('hello\n', { name: 'x', key: generateNoteKey().privateKey }),
    ],
    'signed by a stranger of the same name': [
      'IDENTITY_NOTE_SIGNATURE_INVALID',
      signNote('hello\n', { name, key: generateNoteKey().privateKey }),
    ],
    'with a good and a bad signature of a known key': [
      'IDENTITY_NOTE_SIGNATURE_INVALID',
      good + (signNote('hallo\n', signer).split('\n\n')[1] ?? ''),
    ],
    'too large': ['IDENTITY_TOO_LARGE', signNote(`${'x'.repeat(70_000)}\n`, signer)],
    'with too many signatures': ['IDENTITY_NOTE_INVALID', good + peter.line.repeat(64)],
  };
  for (const [what, [code, note]] of Object.entries(bad)) {
    test(`refuses a note ${what}`, () => {
      assert.throws(() => verifyNote(note, [verifier]), { code });
    });
  }

  test('refuses every changed character', () => {
    const note = signNote('size 7\n', signer);
    for (let at = 0; at < note.length; at++) {
      const mutant = note.slice(0, at) + (note[at] === 'B' ? 'C' : 'B') + note.slice(at + 1);
      assert.throws(() => verifyNote(mutant, [verifier]), CodedError, `character ${at}`);
    }
  });

  test('refuses other keys than Ed25519', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const x448 = generateKeyPairSync('ed448').privateKey;
    for (const key of [privateKey, x448]) {
      assert.throws(() => signNote('x\n', { name, key }), { code: 'IDENTITY_KEY_UNSUPPORTED' });
    }
  });

  test('refuses to sign what it would not read', () => {
    for (const text of ['', 'no newline', 'tab\t\n', 'lone \ud800\n']) {
      assert.throws(() => signNote(text, signer), { code: 'IDENTITY_NOTE_INVALID' }, JSON.stringify(text));
    }
    for (const bad of ['', 'a b', 'a+b', 'a\n', 'a'.repeat(256)]) {
      assert.throws(() => signNote('x\n', { name: bad, key: keys.privateKey }), { code: 'IDENTITY_NOTE_INVALID' });
    }
  });
});

describe('verifier keys', () => {
  test('round trip, and the published one with its key', () => {
    const key = formatVerifierKey(name, keys.publicKey);
    assert.equal(formatVerifierKey(name, keys.privateKey), key);
    assert.ok(parseVerifierKey(key).key.equals(keys.publicKey));
    const seed = Buffer.from(peter.skey.split('+').slice(4).join('+'), 'base64').subarray(1);
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    assert.equal(formatVerifierKey('PeterNeumann', privateKey), peter.vkey);
    assert.ok(signNote(peter.text, { name: 'PeterNeumann', key: privateKey }).endsWith(peter.line));
  });

  test('refuses a key of another length, whose hash is right', () => {
    for (const length of [0, 31, 33]) {
      const bytes = Buffer.concat([Buffer.from([1]), randomBytes(length)]);
      const hash = createHash('sha256').update('x\n').update(bytes).digest('hex').slice(0, 8);
      assert.throws(() => parseVerifierKey(`x+${hash}+${bytes.toString('base64')}`), { code: 'IDENTITY_NOTE_INVALID' });
    }
  });

  test('refuses a hash that is not the key’s, another algorithm, and loose text', () => {
    const [, hash, key] = peter.vkey.split('+');
    for (const bad of [
      '',
      'a',
      `PeterNeumann+00000000+${key}`,
      `Other+${hash}+${key}`,
      `PeterNeumann+${hash?.toUpperCase()}+${key}`,
      `PeterNeumann+${hash}+${key}=`,
      `PeterNeumann+${hash}+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW`,
      `PeterNeumann+${hash}+AQID`,
      ` ${peter.vkey}`,
      `${peter.vkey}\n`,
    ]) {
      assert.throws(() => parseVerifierKey(bad), { code: 'IDENTITY_NOTE_INVALID' }, bad);
    }
  });
});

describe('checkpoints', () => {
  const checkpoint = { origin: name, size: 123_456, rootHash: randomBytes(32), extensions: [] };

  test('round trip through a signed note', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (size, hash) => {
        const one = { origin: name, size, rootHash: Buffer.from(hash), extensions: ['x 1'] };
        assert.deepEqual(verifyCheckpoint(signCheckpoint(one, signer), verifier), one);
      }),
      { numRuns: 50 },
    );
  });

  test('of another log are refused', () => {
    const note = signCheckpoint({ ...checkpoint, origin: 'grid.example/audit' }, signer);
    assert.throws(() => verifyCheckpoint(note, verifier), { code: 'IDENTITY_NOTE_INVALID' });
  });

  test('in any other form are refused', () => {
    const hash = checkpoint.rootHash.toString('base64');
    for (const text of [
      '',
      'a\n',
      `a\n1\n`,
      `a\n01\n${hash}\n`,
      `a\n-1\n${hash}\n`,
      `a\n1e3\n${hash}\n`,
      `a\n9007199254740993\n${hash}\n`,
      `a\n1\n${hash.slice(4)}\n`,
      `a\n1\n${hash}`,
      `a\n1\n${hash}\nextension`,
      `\n1\n${hash}\n`,
      `a\n1\n${hash}\n\n`,
      `a\n1\n${hash.slice(0, -1)}\n`,
    ]) {
      assert.throws(() => parseCheckpoint(text), { code: 'IDENTITY_NOTE_INVALID' }, JSON.stringify(text));
    }
    assert.throws(() => formatCheckpoint({ ...checkpoint, size: -1 }), { code: 'IDENTITY_NOTE_INVALID' });
    assert.throws(() => formatCheckpoint({ ...checkpoint, rootHash: randomBytes(31) }), {
      code: 'IDENTITY_NOTE_INVALID',
    });
    assert.throws(() => formatCheckpoint({ ...checkpoint, origin: 'a\nb' }), { code: 'IDENTITY_NOTE_INVALID' });
  });

  test('are plain Ed25519 over their text', () => {
    const text = formatCheckpoint(checkpoint);
    const signature = Buffer.from(
      signCheckpoint(checkpoint, signer).trimEnd().split(' ').at(-1) ?? '',
      'base64',
    ).subarray(4);
    assert.ok(signature.equals(sign(null, Buffer.from(text), keys.privateKey)));
  });
});
