// The load: asks forward-auth of every edge over its unix socket, each request another one with an id of its own, on an
// interface whose decisions are on disk before they are answered. Remembers exactly which were answered, and how.
// Usage: asker.ts PLAN.json; ends on SIGTERM and then writes the plan's `out`.
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { leafPem } from '../../test/support/leaf-pem.ts';
import type { AskerPlan, AskerReport } from './asker-plan.ts';

const plan = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as AskerPlan;
const tickMs = 20;
const maxWaiting = 64;
/** Once a socket does not answer, so many requests a tick look whether it does again. */
const whileAway = 1;

const report: AskerReport = { startedAt: Date.now(), endedAt: 0, targets: {} };
let stopping = false;
let waiting = 0;

function load(target: AskerPlan['targets'][number]): void {
  const results: AskerReport['targets'][string] = { allowed: [], allowedAt: [], failed: [] };
  report.targets[target.edge] = results;
  const agent = new Agent({ keepAlive: true, maxSockets: maxWaiting });
  const certificate = encodeURIComponent(leafPem(readFileSync(target.chain, 'utf8')));
  let next = 0;
  let mine = 0;
  let away = false;
  let owed = 0;

  const ask = (): void => {
    const id = (next += 1);
    const at = Date.now();
    waiting += 1;
    mine += 1;
    let over = false;
    const finish = (saw: string): void => {
      if (over) return;
      over = true;
      waiting -= 1;
      mine -= 1;
      away = saw !== '200';
      if (saw === '200') {
        results.allowed.push(id);
        results.allowedAt.push(at);
      } else results.failed.push({ at, ms: Date.now() - at, saw });
    };
    const headers = {
      'x-edgeward-interface': `load-${target.edge}`,
      'x-original-method': 'GET',
      'x-original-uri': `/use?id=${target.edge}.${id}`,
      'x-client-verify': 'SUCCESS',
      'x-client-cert': certificate,
      'x-client-connection': `${target.address}:${20_000 + (id % 40_000)}`,
    };
    const asked = request({ socketPath: target.socket, path: '/', agent, headers, timeout: 3_000 }, (answer) => {
      answer.resume();
      finish(String(answer.statusCode));
    });
    asked.once('timeout', () => asked.destroy(new Error('silent')));
    asked.once('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    asked.end();
  };

  setInterval(() => {
    if (stopping) return;
    owed = Math.min(owed + (target.perSecond * tickMs) / 1_000, target.perSecond / 4);
    const now = Math.min(Math.floor(owed), maxWaiting - mine, away ? whileAway : maxWaiting);
    for (let asked = 0; asked < now; asked += 1) ask();
    owed -= Math.max(0, now);
  }, tickMs);
}

for (const target of plan.targets) load(target);

setInterval(() => {
  const answered = Object.values(report.targets).reduce((sum, { allowed }) => sum + allowed.length, 0);
  process.stdout.write(`${answered} answered\n`);
}, 1_000);

process.once('SIGTERM', () => {
  stopping = true;
  report.endedAt = Date.now();
  setInterval(() => {
    if (waiting > 0 && Date.now() - report.endedAt < 4_000) return;
    writeFileSync(plan.out, JSON.stringify(report));
    process.exit(0);
  }, 50);
});
