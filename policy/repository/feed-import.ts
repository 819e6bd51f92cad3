// A list from outside made into a file of the repository: the same checks as lint, then sorted and merged.
import { mergeBlocks, parseFeed, sizeProblem, type FeedProblem } from './feed.ts';
import { siteBlocks, touching } from './lint/feeds.ts';
import { collectProblems } from './problems.ts';
import { readFiles } from './read-files.ts';
import { protectedBlocks } from './resolve-firewall.ts';
import { readDevices, readNetworks } from './resolve.ts';
import type { PolicyTree } from './tree.ts';

export interface ImportedFeed {
  /** The file's text; absent where the list is refused. */
  readonly text?: string;
  /** Address blocks in it. */
  readonly blocks: number;
  /** Lines that are refused, or left out, in their order. */
  readonly refused: readonly FeedProblem[];
  /** feeds.yaml says until when it may be believed. */
  readonly dated: boolean;
}

/** `skip` leaves refused lines out instead of refusing the list. Other problems of the tree do not matter. */
export function importFeed(tree: PolicyTree, name: string, list: string, skip: boolean): ImportedFeed {
  const files = readFiles(tree, collectProblems());
  const dated = files.feeds.some((file) => Object.hasOwn(file.value.feeds, name));
  const site = { devices: readDevices(files), networks: readNetworks(files), protectedBlocks: protectedBlocks(files) };
  const feed = parseFeed(list);
  const refused = [...feed.problems, ...touching(feed, siteBlocks(site))].sort((a, b) => a.line - b.line);
  const left = new Set(refused.map(({ line }) => line));
  const kept = mergeBlocks(feed.blocks.filter(({ line }) => !left.has(line)));
  const size = sizeProblem(kept);
  const found = { blocks: kept.peers.length, refused: size === undefined ? refused : [...refused, size], dated };
  if (size !== undefined || refused.some(({ whole }) => whole === true) || (refused.length > 0 && !skip)) return found;
  return { ...found, text: `# ${name}: ${kept.peers.length} address blocks\n${kept.peers.join('\n')}\n` };
}
