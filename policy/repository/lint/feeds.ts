// Threat feeds: every line that may not be there, dates that have passed, lists that nothing names.
import { MAX_FEED_PROBLEMS } from '../../limits.ts';
import { linesTouching, type Feed, type FeedProblem } from '../feed.ts';
import type { Problems } from '../problems.ts';
import type { Repository } from '../repository.ts';
import { hostBits } from './firewall.ts';

export function lintFeeds(repository: Repository, problems: Problems, now: number): void {
  const site = siteBlocks(repository);
  const used = new Set(repository.firewall.map(({ feed }) => feed));
  for (const { cidr, at } of repository.protectedBlocks) hostBits(cidr, () => at, problems);
  for (const feed of repository.feeds) {
    for (const { line, message } of bounded([...feed.problems, ...touching(feed, site)])) {
      problems.add('POLICY_FEED', { file: feed.path, line, column: 1 }, message);
    }
    if (!used.has(feed.name))
      problems.add('POLICY_FEED_UNUSED', { file: feed.path }, `no rule names feed ${feed.name}`);
  }
  for (const rule of repository.firewall) {
    if (rule.feedUntil === undefined || rule.feedUntil > now) continue;
    const message = `${rule.feed} was to be believed until ${new Date(rule.feedUntil).toISOString()}; edges have dropped ${rule.id}`;
    problems.add('POLICY_FEED_EXPIRED', rule.at('feed'), message);
  }
}

/** An address or block that a list from outside must not name. */
export interface SiteBlock {
  readonly cidr: string;
  readonly what: string;
}

/** The site's own, and what feeds.yaml protects. */
export function siteBlocks({
  devices,
  networks,
  protectedBlocks,
}: Pick<Repository, 'devices' | 'networks' | 'protectedBlocks'>): SiteBlock[] {
  return [
    ...devices.flatMap(({ id, interfaces }) =>
      interfaces.map(({ address }) => ({ cidr: address, what: `${address} of ${id}` })),
    ),
    ...networks.flatMap(({ name, cidrs }) =>
      cidrs.map((cidr) => ({ cidr, what: `addresses of network ${name} (${cidr})` })),
    ),
    ...protectedBlocks.map(({ cidr }) => ({ cidr, what: `addresses of ${cidr}, which feeds.yaml protects` })),
  ];
}

/** Each line once, with the first of the site's addresses that it holds. */
export function touching(feed: Feed, site: readonly SiteBlock[]): FeedProblem[] {
  const lines = new Map<number, string>();
  for (const { cidr, what } of site) {
    for (const line of linesTouching(feed, cidr)) if (!lines.has(line)) lines.set(line, what);
  }
  return [...lines]
    .map(([line, what]) => ({ line, message: `the block holds ${what}` }))
    .sort((a, b) => a.line - b.line);
}

function bounded(problems: readonly FeedProblem[]): FeedProblem[] {
  const kept = problems.slice(0, MAX_FEED_PROBLEMS);
  const next = problems[MAX_FEED_PROBLEMS];
  const rest = problems.length - kept.length - 1;
  return next === undefined
    ? kept
    : [...kept, { ...next, message: `${next.message}; and ${rest} more lines like that` }];
}
