// The exported log as a file: one JSON document a line, `entry`, `head` or `checkpoint`, bytes in base64.
import { createReadStream, createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fromJsonString, toJsonString } from '@bufbuild/protobuf';
import { type ExportLogResponse, ExportLogResponseSchema } from '../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { cliErrors } from './errors.ts';
import type { AdminClient } from './admin-command.ts';

/** Streams the whole log to a file; gives the number of entries. A disk that fills up is an error with the file's path. */
export async function exportLog(admin: AdminClient, file: string): Promise<number> {
  const out = createWriteStream(file, { mode: 0o600 });
  // Opened before anything is asked for.
  await once(out, 'open');
  let entries = 0;
  async function* lines(): AsyncGenerator<string> {
    for await (const item of admin.exportLog({ fromStart: true })) {
      if (item.item.case === 'entry') entries += 1;
      yield `${toJsonString(ExportLogResponseSchema, item)}\n`;
    }
  }
  try {
    await pipeline(Readable.from(lines()), out);
  } catch (error) {
    // The system names the file when it is opened, not when it is written.
    throw error instanceof Error && 'syscall' in error ? Object.assign(error, { path: file }) : error;
  }
  return entries;
}

/** The items of an exported file, in order. */
export async function* readExport(file: string): AsyncGenerator<ExportLogResponse> {
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    line += 1;
    if (text === '') continue;
    try {
      yield fromJsonString(ExportLogResponseSchema, text);
    } catch (cause) {
      throw cliErrors.error('CLI_EXPORT_MALFORMED', 'not a line of an exported log', { place: { file, line }, cause });
    }
  }
}
