// A real Caddy asks forward-auth through the shipped Caddyfile; curl is the client.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findProgram, requires } from '../support/capabilities.ts';
import { type GuardedWeb, openGuardedWeb } from '../support/guarded-web.ts';
import { runMatrix } from '../support/guarded-web-matrix.ts';

const shipped = join(import.meta.dirname, '../../examples/caddy/Caddyfile');

/** Only names of files, sockets and ports are the test's own. */
function configFor(web: GuardedWeb): string {
  const ours: Readonly<Record<string, string>> = {
    '/run/edgeward/forward-auth.sock': web.socket,
    'hmi.plant.example:8443': `hmi.plant.example:${web.port}`,
    '/etc/caddy/web.pem': join(web.scratch, 'web.pem'),
    '/etc/caddy/web.key': join(web.scratch, 'web.key'),
    '/var/lib/edgeward/identity/roots.pem': join(web.scratch, 'roots.pem'),
    '127.0.0.1:8080': `127.0.0.1:${web.workloadPort}`,
  };
  return Object.entries(ours).reduce(
    (text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`${shipped} no longer says ${from}`);
      return text.replaceAll(from, to);
    },
    readFileSync(shipped, 'utf8'),
  );
}

test('Caddy with the shipped configuration', async (t) => {
  if (!requires(t, 'caddy', 'curl')) return;
  const web = await openGuardedWeb('caddy');
  t.after(async () => await web.close());
  const file = join(web.scratch, 'Caddyfile');
  writeFileSync(file, configFor(web));
  const env = { XDG_CONFIG_HOME: web.scratch, XDG_DATA_HOME: web.scratch };
  await web.proxy(findProgram('caddy') ?? 'caddy', ['run', '--config', file, '--adapter', 'caddyfile'], env);
  await runMatrix(t, web, {
    gone: 502,
    slow: 504,
    stranger: 0,
    // A host other than that of the handshake.
    answeredByProxy: { 'http://evil.example/admin': 421 },
    rewritten: {},
    refusedMethods: [],
  });
});
