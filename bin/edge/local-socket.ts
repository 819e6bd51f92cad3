// What root on this device may order of the running edge: island mode, and pardons. `local.sock`, mode 0600: who may open
// it could as well change the kernel's rules; who it is, is what the caller says, and recorded as such.
import { z } from 'zod';
import { islandErrors, type Island } from '../../enforcer/island/index.ts';
import { edgePaths, type EdgeConfig } from './config.ts';
import { type Learned, learnedRequest } from './learned.ts';
import { type LocalSocket, servePosts } from './local-posts.ts';

const words = { by: z.string().max(256), reason: z.string().max(512) };
const islandRequest = z.strictObject({ action: z.enum(['on', 'off']), ...words });
const pardonRequest = z.strictObject({ address: z.string().max(64), ...words });

export type IslandRequest = z.infer<typeof islandRequest>;
export type PardonRequest = z.infer<typeof pardonRequest>;

export interface LocalOrders {
  readonly island: Pick<Island, 'enter' | 'leave'>;
  /** Forgets a learned block; resolves with whether there was one. */
  readonly pardon: (request: PardonRequest) => Promise<boolean>;
  readonly learned: Pick<Learned, 'show'>;
}

const maxRequestBytes = 4_096;

export async function serveLocalOrders(
  { island, pardon, learned }: LocalOrders,
  config: EdgeConfig,
): Promise<LocalSocket> {
  return await servePosts(edgePaths(config).localSocket, {
    label: 'local orders',
    maxBytes: maxRequestBytes,
    routes: {
      '/island': async (text) => {
        const { action, ...who } = parse(islandRequest, text);
        return { island: await (action === 'on' ? island.enter(who) : island.leave(who)) };
      },
      '/learned': (text) => Promise.resolve(learned.show(parse(learnedRequest, text))),
      '/pardon': async (text) => ({ pardoned: await pardon(parse(pardonRequest, text)) }),
    },
  });
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw islandErrors.error('ISLAND_REQUEST_INVALID', 'not a request that this edge understands', { cause });
  }
}
