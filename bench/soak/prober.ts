// Runs inside one host of the soak and knocks at others, each probe on its own schedule whatever became of the one
// before. One JSON line a probe: {"at", "ms", "task", "accepted", "saw"}. Usage: prober.ts JSON_OF_PROBE_TASKS
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import type { ProbeLine, ProbeTask } from './probe-task.ts';

const tasks = JSON.parse(process.argv[2] ?? '[]') as ProbeTask[];
/** Patience: with what is granted, three seconds, as browsers and masters have; a refusal needs no more than one. */
const patienceMs = (task: ProbeTask): number => (task.name.startsWith('granted') ? 3_000 : 1_000);
let count = 0;

interface Outcome {
  readonly accepted: boolean;
  readonly saw: string;
}

/** Accepted when the handshake completes. */
function tcp(task: ProbeTask): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ host: task.address, port: task.port });
    const finish = (accepted: boolean, saw: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ accepted, saw });
    };
    const timer = setTimeout(() => finish(false, 'silent'), patienceMs(task));
    socket.once('connect', () => finish(true, 'open'));
    socket.once('error', (error: NodeJS.ErrnoException) => finish(false, error.code ?? error.message));
  });
}

/** Modbus/TCP: a read of holding register 0, or a write of the set-point; accepted when the server says done. */
function modbus(task: ProbeTask): Promise<Outcome> {
  const transaction = (count += 1) & 0xffff;
  const pdu = task.kind === 'modbus-write' ? [6, 0, 10, 0x02, count & 0xff] : [3, 0, 0, 0, 2];
  const frame = Buffer.from([transaction >> 8, transaction & 0xff, 0, 0, 0, pdu.length + 1, 1, ...pdu]);
  return new Promise((resolve) => {
    const socket = connect({ host: task.address, port: task.port, noDelay: true }, () => socket.write(frame));
    let answer = Buffer.alloc(0);
    const finish = (accepted: boolean, saw: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ accepted, saw });
    };
    const timer = setTimeout(() => finish(false, 'silent'), patienceMs(task));
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length < 9) return;
      const ok = answer.readUInt16BE(0) === transaction && answer[7] === pdu[0];
      finish(ok, ok ? 'done' : `exception ${answer[8]}`);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => finish(false, error.code ?? error.message));
    socket.once('close', () => finish(false, 'closed'));
  });
}

function agentOf(task: ProbeTask): Agent {
  const { identity } = task;
  const client = identity === undefined ? {} : { cert: readFileSync(identity.chain), key: readFileSync(identity.key) };
  return new Agent({ ...client, rejectUnauthorized: false, keepAlive: task.keepAlive === true, maxSockets: 16 });
}

/** Accepted when the page comes with status 200. Every request is another one. */
function https(task: ProbeTask, agent: Agent): Promise<Outcome> {
  const path = `${task.path ?? '/'}?probe=${process.pid}-${(count += 1)}`;
  return new Promise((resolve) => {
    const asked = request({ host: task.address, port: task.port, path, agent, timeout: patienceMs(task) }, (answer) => {
      answer.resume();
      resolve({ accepted: answer.statusCode === 200, saw: String(answer.statusCode) });
    });
    asked.once('timeout', () => asked.destroy(new Error('silent')));
    asked.once('error', (error: NodeJS.ErrnoException) =>
      resolve({ accepted: false, saw: error.code ?? error.message }),
    );
    asked.end();
  });
}

for (const task of tasks) {
  const agent = task.kind === 'https' ? agentOf(task) : undefined;
  const once = (): Promise<Outcome> =>
    agent !== undefined ? https(task, agent) : task.kind === 'tcp' ? tcp(task) : modbus(task);
  // By the clock, so that a busy machine catches up and does not probe less.
  let due = Date.now();
  const probe = (): void => {
    const at = Date.now();
    void once().then(({ accepted, saw }) => {
      const line: ProbeLine = { at, ms: Date.now() - at, task: task.name, accepted, saw };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    });
    due += 1_000 / task.perSecond;
    setTimeout(probe, Math.max(0, due - Date.now()));
  };
  setTimeout(probe, Math.random() * 100);
}
