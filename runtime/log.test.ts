import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runtimeErrors } from './error-codes.ts';
import { createLogger, redact, type Logger } from './log.ts';

function recorded(write: (log: Logger) => void): Record<string, unknown>[] {
  const lines: string[] = [];
  write(
    createLogger({ name: 'test', level: 'debug', destination: { write: (line: string) => void lines.push(line) } }),
  );
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('a line has level, time, name, fields and text', () => {
  const [line] = recorded((log) => log.child({ device: 'plc-1' }).warn({ port: 502 }, 'refused'));
  const { level, name, device, port, msg } = line ?? {};
  assert.deepEqual(
    { level, name, device, port, msg },
    { level: 'warn', name: 'test', device: 'plc-1', port: 502, msg: 'refused' },
  );
  assert.match(String(line?.['time']), /^\d{4}-\d\d-\d\dT/);
});

test('a coded error shows code, remedy and place', () => {
  const err = runtimeErrors.error('CONFIG_INVALID', 'bad', {
    place: { file: 'a.yaml', line: 1 },
    cause: new Error('inner'),
  });
  const [line] = recorded((log) => log.error({ err }, 'cannot start'));
  const { code, message, place, cause } = (line?.['err'] ?? {}) as Record<string, unknown>;
  assert.deepEqual(
    { code, message, place },
    { code: 'CONFIG_INVALID', message: 'bad', place: { file: 'a.yaml', line: 1 } },
  );
  assert.equal((cause as Record<string, unknown>)['message'], 'inner');
});

const pem = '-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----\n';
const join = 'ew1.eyJ2IjoxLCJ0ZCI6InBsYW50In0';

test('secrets reach no line: by name at any depth, and by shape in any text', () => {
  const text = JSON.stringify(
    recorded((log) => {
      log.info(
        { token: 'hunter2', nested: { list: [{ tokenSecret: 'hunter2', db_password: 'hunter2' }] } },
        `key ${pem}`,
      );
      log.info(`enrolling with ${join}`);
      log.error({ err: new Error(`cannot parse ${pem}`, { cause: new Error(join) }) }, 'x');
      log
        .child({ passphrase: 'hunter2' })
        .info({ url: 'postgres://user:hunter2@db/x' }, 'postgres://user:hunter2@db/x');
      log.info({ keyPem: 'hunter2', private_key: 'hunter2', key: 'hunter2', authorization: 'hunter2' }, 'x');
      log.info({ bytes: Buffer.from('hunter2') }, 'x');
    }),
  );
  assert.doesNotMatch(text, /hunter2|MIGHAgEA|eyJ2|104,117,110/);
  assert.match(text, /\[redacted\]/);
});

test('names that only look secret stay readable', () => {
  assert.deepEqual(redact({ token_id: 'a', key_id: 'b', keyId: 'c', monkey: 'd' }), {
    token_id: 'a',
    key_id: 'b',
    keyId: 'c',
    monkey: 'd',
  });
});

test('a value that contains itself ends', () => {
  const loop: Record<string, unknown> = {};
  loop['self'] = loop;
  assert.doesNotThrow(() => recorded((log) => log.info(loop, 'x')));
});
