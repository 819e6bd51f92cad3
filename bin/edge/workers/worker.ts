// One more process that answers authz, on a socket of its own. It opens the bundle in force from the disk and verifies it
// itself; orders, states, roots and time come from the edge, events and uses go back to it. Without the edge it is nobody:
// it ends when the channel closes, and denies while it hears no time.
import {
  type Activation,
  type Active,
  createActivation,
  createDecide,
  createSubjectState,
  hostBoot,
  STATE_MAX_AGE_MS,
  type TrustedTime,
} from '../../../enforcer/activation/index.ts';
import { knownFeatures, openBundle } from '../../../policy/bundle/index.ts';
import { compileSlice, type Engine } from '../../../policy/engine/index.ts';
import { createLogger } from '../../../runtime/log.ts';
import { runTasks } from '../../../runtime/tasks.ts';
import { nodeFiles } from '../../../store/files.ts';
import { openBearerTokens } from '../bearer-tokens.ts';
import { openRequestPoints } from '../request-points.ts';
import { createSubjects } from '../subjects.ts';
import { createChannel } from './channel.ts';
import type { FromWorker, PeerAnchors, Snapshot, ToWorker } from './messages.ts';
import { HEARTBEAT_MS } from './pool.ts';

/** Milliseconds without a word from the edge after which nothing is allowed: an order may be waiting there. */
const SILENCE_MS = 3 * HEARTBEAT_MS;
/** Milliseconds that requests under way have to be answered when the edge stops. */
const STOP_MS = 1_000;

type Start = Extract<ToWorker, { kind: 'start' }>;

/** Of structured clone buffers arrive as plain byte arrays. */
function peersOf({ chain, ...anchors }: PeerAnchors) {
  const buffers = (list: readonly Uint8Array[]): Buffer[] => list.map((bytes) => Buffer.from(bytes));
  return { chain: buffers(chain), anchors: { ...anchors, roots: buffers(anchors.roots) } };
}

interface Running {
  readonly take: (message: Exclude<ToWorker, { kind: 'start' | 'kept' }>) => Promise<void>;
}

function send(message: FromWorker, sent: () => void = () => undefined): void {
  process.send?.(message, undefined, undefined, sent);
}

const channel = createChannel(send);

async function start({ index, config, deviceId, snapshot }: Start): Promise<Running> {
  const log = createLogger({ name: `edge-authz-${index}`, level: config.logLevel });
  const boot = await hostBoot(nodeFiles, '');
  let { heartbeat, subjects }: Snapshot = snapshot;
  let identity = peersOf(snapshot.anchors);
  let heardAt = performance.now();
  const inTouch = (): boolean => performance.now() - heardAt <= SILENCE_MS;
  const time = (): TrustedTime => ({
    ...heartbeat.mark.time,
    now: Math.trunc(heartbeat.mark.time.now + (boot.uptimeMs() - heartbeat.mark.uptimeMs)),
  });

  let activation: Activation<Engine> | undefined;
  const openPolicy = async (digest: string): Promise<void> => {
    if (digest === '') {
      activation = undefined;
      return;
    }
    const before = activation?.current()?.engine;
    const next = await createActivation<Engine>({
      fs: nodeFiles,
      stateDir: config.state,
      openBundle,
      compile: (bundle) => compileSlice(bundle.slice, { digest: bundle.digest, ...bundle.manifest }, before),
      anchors: () => identity.anchors,
      deviceId,
      trustDomain: identity.anchors.trustDomain,
      clock: { now: () => time().now },
      knownFeatures,
      applyFirewall: () => Promise.resolve(),
      // What is wrong with a bundle on the disk the edge has said.
      emit: () => Promise.resolve(),
      log,
    });
    const found = (await next.startFromDisk())?.bundle.digest ?? '';
    if (found !== digest) throw new Error(`found bundle "${found}" on the disk, the edge has "${digest}" in force`);
    activation = next;
  };
  await openPolicy(snapshot.digest);

  const active = (): Active<Engine> | undefined => (inTouch() ? activation?.current() : undefined);
  const now = (): number => time().now;
  const tokens = await openBearerTokens({ config, trustDomain: identity.anchors.trustDomain, now, fs: nodeFiles, log });
  const own = { current: () => identity, anchors: () => identity.anchors };
  const orders = {
    subjectState: createSubjectState(() => subjects, time, STATE_MAX_AGE_MS),
    view: () => subjects,
  };
  const points = await openRequestPoints({
    config,
    index,
    log,
    emit: channel.emit,
    decide: createDecide(
      active,
      time,
      () => heartbeat.openings,
      () => heartbeat.island,
    ),
    usage: channel.usage,
    subjects: createSubjects(own, orders, now, false, tokens),
    active,
    time,
  });
  const stopped = new AbortController();
  const tasks = runTasks(
    stopped.signal,
    { ...points.tasks, ...(tokens === undefined ? {} : { tokens: tokens.task }) },
    { drainMs: STOP_MS, log },
  );
  // What has no tasks any more counts and watches nothing.
  tasks.catch(() => process.exit(1));

  return {
    async take(message) {
      switch (message.kind) {
        case 'heartbeat':
          heartbeat = message.heartbeat;
          heardAt = performance.now();
          return;
        case 'subjects':
          subjects = message.subjects;
          return;
        case 'anchors':
          identity = peersOf(message.anchors);
          return;
        case 'policy':
          await openPolicy(message.digest);
          return;
        case 'stop':
          await points.close(STOP_MS);
          stopped.abort();
          await tasks;
          await channel.flushed();
      }
    },
  };
}

let running: Promise<Running> | undefined;
/** One after the other, as they came. */
let turn: Promise<void> = Promise.resolve();

async function done(id: number, work: Promise<unknown>): Promise<void> {
  const error = await work.then(
    () => undefined,
    (fault: unknown) => (fault instanceof Error ? fault.message : String(fault)),
  );
  send(error === undefined ? { kind: 'done', id } : { kind: 'done', id, error });
}

async function handle(message: ToWorker): Promise<void> {
  if (message.kind === 'kept') channel.answered(message.id, message.ok);
  else if (message.kind === 'start') {
    running = start(message);
    turn = done(message.id, running);
  } else if (message.kind === 'heartbeat') {
    // Not behind a bundle that is being compiled.
    await (await running)?.take(message);
  } else {
    const before = turn;
    turn = after(before, message);
    await turn;
  }
}

async function after(before: Promise<void>, message: Exclude<ToWorker, { kind: 'start' | 'kept' | 'heartbeat' }>) {
  await before;
  await done(message.id, (async () => await (await running)?.take(message))());
}

process.on('message', (message) => void handle(message as ToWorker).catch(() => process.exit(1)));
process.on('disconnect', () => process.exit(0));
// The edge says when to stop; a service manager tells all processes at once.
for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => undefined);
