// The stand-in's own listeners, one for each proxied interface, always there: the kernel diverts to them what finds no proxy of
// the enforcer. Not where policy opens the interface itself for that time.
import type { EdgeConfig } from '../config.ts';
import { createProxies, type Proxies, type ProxyParts } from '../proxies.ts';
import type { HeldPeer } from '../../../enforcer/standby/index.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { periodically, type Task } from '../../../runtime/tasks.ts';

export interface ListenersParts extends Omit<ProxyParts, 'transparent' | 'admits'> {
  readonly clock: Clock;
  /** Whether there is something to serve at the interface now. */
  readonly isServed: (interfaceName: string) => boolean;
}

export interface Listeners {
  /** Opens and closes listeners as policy says, and tries again what failed; ends them all with the signal. */
  readonly task: Task;
  /** The enforcer is back: lets go of every connection at the end of a message, and goes on listening. */
  release(): void;
  close(deviceId: string): void;
  /** Identity, orders or policy are others now. */
  recheck(): void;
  peers(): readonly HeldPeer[];
}

/** Milliseconds between two looks at which listeners there should be. */
const LOOK_MS = 250;

type Proxied = EdgeConfig['proxies'][number];

interface Serving {
  readonly proxies: Proxies;
  /** Wait for another identity of ours. */
  readonly followers: (() => void)[];
  readonly stop: AbortController;
  readonly running: Promise<void>;
}

export function createListeners(parts: ListenersParts): Listeners {
  const { config, log, clock, isServed } = parts;
  const serving = new Map<string, Serving>();
  /** Those that let go: their connections end, and they do not listen any more. */
  const leaving = new Set<Promise<void>>();
  const failed = new Map<string, string>();

  async function open(proxied: Proxied): Promise<void> {
    // Clients of this host are not served by it: what they reach is another device's to keep up.
    const own = { ...config, egress: [], proxies: [{ ...proxied, listen: proxied.standby }] };
    const followers: (() => void)[] = [];
    const identity = { ...parts.identity, follow: (changed: () => void) => void followers.push(changed) };
    const proxies = createProxies({ ...parts, identity, config: own, transparent: true, admits: () => true });
    await proxies.listen();
    const stop = new AbortController();
    const name = proxied.interface;
    const running = proxies.task(stop.signal).catch((error: unknown) => {
      log.error({ err: error, interface: name }, 'the stand-in of an interface ended');
      serving.delete(name);
    });
    serving.set(name, { proxies, followers, stop, running });
  }

  function leave(name: string): void {
    const one = serving.get(name);
    if (one === undefined) return;
    serving.delete(name);
    const left = one.proxies
      .drain()
      .then(() => one.stop.abort())
      .then(() => one.running);
    leaving.add(left);
    void left.finally(() => leaving.delete(left));
  }

  const look = async (): Promise<void> => {
    for (const proxied of config.proxies) {
      const name = proxied.interface;
      if (!isServed(name)) leave(name);
      else if (!serving.has(name)) {
        try {
          await open(proxied);
          failed.delete(name);
        } catch (error) {
          const why = error instanceof Error ? error.message : String(error);
          if (failed.get(name) !== why) log.error({ err: error, interface: name }, 'the stand-in cannot listen');
          failed.set(name, why);
        }
      }
    }
  };

  const all = (): Serving[] => [...serving.values()];
  return {
    async task(signal) {
      await periodically(clock, LOOK_MS, look)(signal);
      for (const name of serving.keys()) leave(name);
      await Promise.all(leaving);
    },
    release() {
      for (const name of serving.keys()) leave(name);
    },
    close: (device) => all().forEach(({ proxies }) => proxies.close(device)),
    recheck: () =>
      all().forEach(({ proxies, followers }) => {
        for (const changed of followers) changed();
        proxies.recheck();
      }),
    peers: () => all().flatMap(({ proxies }) => proxies.peers()),
  };
}
