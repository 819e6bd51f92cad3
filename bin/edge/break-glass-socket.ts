// Where a person on this device brings a break-glass ticket: `POST /tickets`. The ticket proves itself; the mode of the
// socket only keeps others from filling the log with refusals.
import type { BreakGlass } from '../../enforcer/break-glass/index.ts';
import { type LocalSocket, servePosts } from './local-posts.ts';

/** Bytes of a ticket: as many as its reader takes. */
const maxTicketBytes = 64 * 1024;

export async function serveBreakGlass(glass: Pick<BreakGlass, 'use'>, path: string): Promise<LocalSocket> {
  return await servePosts(path, {
    label: 'break-glass',
    maxBytes: maxTicketBytes,
    routes: { '/tickets': async (text) => ({ open: await glass.use(text) }) },
  });
}
