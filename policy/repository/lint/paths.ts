// Path patterns of HTTP operations: whole canonical segments, `*` for one of them, `/**` only at the end. A pattern no
// canonical path can equal would never match, and the request it meant is refused as ambiguous.
import { pathProfile } from '../../engine/path-profile.ts';
import type { Problems } from '../problems.ts';
import type { Repository } from '../repository.ts';

export function lintPaths(repository: Repository, problems: Problems): void {
  for (const entry of repository.interfaces) {
    const profile = entry.normalise === undefined ? undefined : pathProfile(entry.normalise);
    for (const operation of entry.operations) {
      if (operation.protocol !== 'http') continue;
      operation.paths.forEach((path, index) => {
        const wrong = pathProblem(path) ?? (profile?.isNormal(path) === false ? notNormal : undefined);
        if (wrong === undefined) return;
        problems.add(
          'POLICY_PATH_PATTERN',
          entry.at('operations', operation.name, 'paths', index),
          `${path}: ${wrong}`,
        );
      });
    }
  }
}

const notNormal =
  'expected it as the interface normalises paths (small letters under case, no last slash under trailing-slash)';

/** What is wrong with a pattern, or undefined. */
export function pathProblem(path: string): string | undefined {
  if (/[^\u0021-\u007e]/.test(path)) return 'expected printable ASCII without spaces';
  if (/[%;\\#?]/.test(path)) return 'expected no % ; \\ # or ?; canonical paths carry none';
  if (path === '/') return undefined;
  const segments = path.slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === '' && !last) return 'expected no empty segment';
    if (segment === '.' || segment === '..') return 'expected no dot segment';
    if (segment === '**' && !last) return 'expected ** only as the last segment';
    if (segment.includes('*') && segment !== '*' && segment !== '**') return 'expected * to be a whole segment';
  }
  return undefined;
}
