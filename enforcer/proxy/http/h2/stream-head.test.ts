import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStreamHead } from './stream-head.ts';

const get = [':method', 'GET', ':scheme', 'http', ':path', '/a'];

test('a host without :authority is refused: Node would send the server one of its own', () => {
  assert.deepEqual(readStreamHead([...get, 'host', 'a.example'], true), { fault: 'no :authority' });
  for (const fields of [
    [...get, ':authority', 'a.example'],
    [...get, ':authority', 'a.example', 'host', 'a.example'],
  ]) {
    const head = readStreamHead(fields, true);
    assert.equal('read' in head && head.read.operation.host, 'a.example');
  }
});

test('the host is asked about with its port', () => {
  const head = readStreamHead([...get, ':authority', 'a.example:8080'], true);
  assert.equal('read' in head && head.read.operation.host, 'a.example:8080');
});

test('names that some servers make one header of are lines of one header', () => {
  const head = readStreamHead([...get, ':authority', 'a', 'x-line', '1', 'x_line', '2', 'x.line', '3'], true);
  assert.deepEqual('read' in head && head.read.operation.headers['x-line'], ['1', '2', '3']);
});
