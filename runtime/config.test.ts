import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { z } from 'zod';
import { loadConfig, readSecret } from './config.ts';

const folder = await mkdtemp(join(tmpdir(), 'edgeward-config-'));
after(() => rm(folder, { recursive: true, force: true }));

const schema = z.strictObject({
  database: z.strictObject({ url: z.string().default('sqlite::memory:') }).prefault({}),
  listen: z.strictObject({ edges: z.string(), maxConnections: z.int().max(10).optional() }),
  observe: z.boolean().default(false),
});

async function file(name: string, text: string, mode = 0o600): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

test('variables replace single values, with the types of the file', async () => {
  const path = await file('a.yaml', 'listen: {edges: "a:1"}\n');
  assert.deepEqual(await loadConfig(path, schema, {}), {
    database: { url: 'sqlite::memory:' },
    listen: { edges: 'a:1' },
    observe: false,
  });
  const environment = {
    EDGEWARD_DATABASE__URL: 'postgres://db/x',
    EDGEWARD_LISTEN__MAX_CONNECTIONS: '7',
    EDGEWARD_OBSERVE: 'true',
    EDGEWARD_TOKEN: 'not ours',
  };
  assert.deepEqual(await loadConfig(path, schema, environment), {
    database: { url: 'postgres://db/x' },
    listen: { edges: 'a:1', maxConnections: 7 },
    observe: true,
  });
});

test('a fault from a variable names the variable, one from the file its place', async () => {
  const path = await file('b.yaml', 'listen:\n  edges: "a:1"\n  maxConnections: 70\n');
  await assert.rejects(loadConfig(path, schema, {}), {
    code: 'CONFIG_INVALID',
    place: { file: path, line: 3, column: 19 },
  });
  await assert.rejects(loadConfig(path, schema, { EDGEWARD_LISTEN__MAX_CONNECTIONS: '99' }), {
    code: 'CONFIG_INVALID',
    message: /^variable EDGEWARD_LISTEN__MAX_CONNECTIONS: .*at most 10, found 99/,
  });
});

test('a file that is not there says so', async () => {
  await assert.rejects(loadConfig(join(folder, 'none.yaml'), schema, {}), {
    code: 'CONFIG_UNREADABLE',
    message: /ENOENT/,
  });
  await assert.rejects(loadConfig(await file('big.yaml', 'a'.repeat(1024 * 1024 + 1)), schema, {}), {
    code: 'CONFIG_TOO_LARGE',
  });
});

test('a secret comes from a private file, else from the variable', async () => {
  const secret = await file('pass', 'correct horse\n');
  assert.equal(await readSecret({ file: secret, env: 'PASS' }, { PASS: 'other' }), 'correct horse');
  assert.equal(await readSecret({ env: 'PASS' }, { PASS: 'other' }), 'other');
});

test('an exposed, empty or missing secret is refused, without repeating it', async () => {
  const exposed = await file('exposed', 'correct horse\n', 0o644);
  await assert.rejects(readSecret({ file: exposed }), { code: 'SECRET_FILE_EXPOSED', message: /mode 0644/ });
  await assert.rejects(readSecret({ file: await file('empty', '\n') }), { code: 'SECRET_MISSING' });
  await assert.rejects(readSecret({ file: join(folder, 'none') }), { code: 'SECRET_MISSING' });
  await assert.rejects(readSecret({ env: 'PASS' }, { PASS: '' }), { code: 'SECRET_MISSING' });
  await assert.rejects(readSecret({ env: 'PASS' }, {}), { code: 'SECRET_MISSING', message: /variable PASS/ });
  await assert.rejects(readSecret({ file: await file('long', 'x'.repeat(5000)) }), { code: 'CONFIG_TOO_LARGE' });
});
