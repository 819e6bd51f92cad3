// A granted client of the HMI's page: one kept connection with the device's SVID, read afresh at each new connection.
// One JSON line a request: {"at", "status", "ms"}; status 0 when nothing answered.
// Usage: https-poller.ts ADDRESS PORT PATH INTERVAL_MS CHAIN KEY
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';

const [address = '', port = '', path = '', interval = '', chain = '', key = ''] = process.argv.slice(2);
let agent: Agent | undefined;

function newAgent(): Agent {
  const identity = { cert: readFileSync(chain), key: readFileSync(key) };
  return new Agent({ ...identity, keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
}

function ask(through: Agent): Promise<number> {
  return new Promise((resolve) => {
    const asked = request({ host: address, port, path, agent: through, timeout: 1_000 }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode ?? 0)).once('error', () => resolve(0));
    });
    asked.once('timeout', () => asked.destroy());
    asked.once('error', () => resolve(0)).once('close', () => resolve(0));
    asked.end();
  });
}

for (;;) {
  const at = Date.now();
  let status = 0;
  try {
    agent ??= newAgent();
    status = await ask(agent);
  } catch {
    // No identity at the moment: the device is being re-imaged.
  }
  if (status !== 200) {
    agent?.destroy();
    agent = undefined;
  }
  process.stdout.write(`${JSON.stringify({ at, status, ms: Date.now() - at })}\n`);
  await delay(Math.max(5, Number(interval) - (Date.now() - at)));
}
