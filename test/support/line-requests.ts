// The owner's side of a program that answers requests, one JSON document a line, in any order.
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Asks over standard input, answers over standard output; what waits is refused when the program ends. */
export function lineRequests(child: ChildProcess, name: string): (request: object) => Promise<unknown> {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error(`${name} needs pipes`);
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let next = 0;
  createInterface({ input: stdout }).on('line', (line) => {
    const { id, result, error } = JSON.parse(line) as { id: number; result?: unknown; error?: string };
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(result);
    else asked?.reject(new Error(error));
  });
  child.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error(`${name} ended`));
    waiting.clear();
  });
  stdin.on('error', () => {});
  return (request) =>
    new Promise((resolve, reject) => {
      if (child.exitCode !== null) {
        reject(new Error(`${name} ended`));
        return;
      }
      next += 1;
      waiting.set(next, { resolve, reject });
      stdin.write(`${JSON.stringify({ id: next, ...request })}\n`);
    });
}
