// Tells once what other tables do to packets that ours lets through, and again when that changes.
import type { EmitEvent } from '../../../audit/spool/index.ts';
import { CodedError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { openNetlink } from '../../../runtime/linux-netlink.ts';
import { NETLINK } from '../../../runtime/linux-netlink-wire.ts';
import { TABLE } from '../render.ts';
import { otherTables } from './other-tables.ts';

export interface OthersParts {
  readonly emit: EmitEvent;
  readonly log: Logger;
  /** Network namespace; default the process's own. */
  readonly namespace?: string | undefined;
}

const NFPROTO_INET = 1;
const [, table = ''] = TABLE.split(' ');
/** Times that a listing begins again because the rules changed meanwhile. */
const MAX_ATTEMPTS = 3;

/** A function that looks once; `keep` gets what was found, undefined when nobody can tell. Never rejects but for a bug. */
export function tellOthers(
  { emit, log, namespace }: OthersParts,
  keep: (found: readonly string[] | undefined) => void,
): () => Promise<void> {
  let told: readonly string[] = [];
  return async () => {
    const found = read(namespace, log);
    keep(found);
    if (found === undefined || found.join('\n') === told.join('\n')) return;
    const values = [
      ...found.filter((line) => !told.includes(line)),
      ...told.filter((line) => !found.includes(line)).map((line) => `no longer: ${line}`),
    ];
    told = found;
    for (const line of values) log.warn(line);
    const message = `other tables of this host: ${found.length} findings`;
    await emit({ kind: 'firewall', activity: 'others', severity: 'medium', data: { message, values } });
  };
}

function read(namespace: string | undefined, log: Logger): readonly string[] | undefined {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const socket = openNetlink(NETLINK.netfilter, namespace === undefined ? {} : { namespace });
      try {
        return otherTables(socket, { family: NFPROTO_INET, table });
      } finally {
        socket.close();
      }
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      if (error.code === 'LINUX_NETLINK_INTERRUPTED' && attempt < MAX_ATTEMPTS) continue;
      log.warn({ err: error }, 'what other tables do cannot be read');
      return undefined;
    }
  }
}
