// Many connections at once, each with an allowed request, held until told otherwise.
import { connectModbus, type ModbusClient, numberIn, type Target } from './modbus-client.ts';

export interface HoldOrder {
  readonly target: Omit<Target, 'from'>;
  /** One connection for each; a peer may be named several times. */
  readonly from: readonly string[];
  /** Ends them instead. */
  readonly release?: boolean;
}

export interface Held {
  /** Connections that are open and whose last request was answered by the server. */
  readonly served: number;
}

const held: ModbusClient[] = [];
/** Opened at the same time. */
const AT_ONCE = 20;

/** With connections held already, asks again on these. */
export async function holdConnections({ target, from, release }: HoldOrder): Promise<Held> {
  if (release === true) {
    for (const client of held.splice(0)) client.close();
    return { served: 0 };
  }
  if (held.length === 0) {
    for (let at = 0; at < from.length; at += AT_ONCE) {
      const some = from.slice(at, at + AT_ONCE).map((address) => connectModbus({ ...target, from: address }));
      held.push(...(await Promise.all(some)));
    }
  }
  const answers = await Promise.all(held.map(async (client) => numberIn(await client.read(1))));
  return { served: answers.filter((number) => number !== undefined).length };
}
