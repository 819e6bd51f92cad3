import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Words } from './wire-text.ts';

test('a word that came before is not read again', () => {
  let reads = 0;
  const words = new Words(64, 64, (bytes, start, end) => (reads++, bytes.toString('latin1', start, end)));
  const bytes = Buffer.from('..GET..');
  for (let round = 0; round < 3; round++) assert.equal(words.text(bytes, 2, 5), 'GET');
  bytes.write('PUT', 2);
  assert.equal(words.text(bytes, 2, 5), 'PUT');
  assert.equal(reads, 2);
});

test('what strangers choose is remembered within a bound, however long and many they are', () => {
  const words = new Words(8_192, 8_192);
  const word = Buffer.alloc(8_000, 'a');
  for (let index = 0; index < 12_000; index++) {
    word.write(index.toString(16).padStart(8, '0'), 7_990);
    assert.equal(words.text(word, 0, word.length), word.toString('latin1'));
    assert.ok(words.size <= 16 * 1024 * 1024, `${words.size} bytes after ${index} words`);
  }
  assert.ok(words.size > 0);
});
