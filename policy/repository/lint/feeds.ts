// Threat feeds: every line that may not be there, dates that have passed, lists that nothing names.
import { MAX_FEED_PROBLEMS } from '../../limits.ts';
import { lineTouching } from '../feed.ts';
import type { Problems } from '../problems.ts';
import type { Repository, ThreatFeed } from '../repository.ts';
import { hostBits } from './firewall.ts';

export function lintFeeds(repository: Repository, problems: Problems, now: number): void {
  const own = ownBlocks(repository);
  const used = new Set(repository.firewall.map(({ feed }) => feed));
  for (const { cidr, at } of repository.protectedBlocks) hostBits(cidr, () => at, problems);
  for (const feed of repository.feeds) {
    for (const { line, message } of feed.problems) {
      problems.add('POLICY_FEED', { file: feed.path, line, column: 1 }, message);
    }
    for (const { line, what } of touching(feed, own)) {
      problems.add('POLICY_FEED', { file: feed.path, line, column: 1 }, `the block holds ${what}`);
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

interface Own {
  readonly cidr: string;
  readonly what: string;
}

/** Addresses that a list from outside must not name: the site's own, and what feeds.yaml protects. */
function ownBlocks({ devices, networks, protectedBlocks }: Repository): Own[] {
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
function touching(feed: ThreatFeed, own: readonly Own[]): { line: number; what: string }[] {
  const lines = new Map<number, string>();
  for (const { cidr, what } of own) {
    const line = lineTouching(feed, cidr);
    if (line !== undefined && !lines.has(line)) lines.set(line, what);
    if (lines.size >= MAX_FEED_PROBLEMS) break;
  }
  return [...lines].map(([line, what]) => ({ line, what }));
}
