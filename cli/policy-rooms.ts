// The policy room, loaded only when a command needs it, and a repository that has to be without errors.
import { cliErrors } from './errors.ts';

export const loadRooms = async () => await import('../policy/repository/index.ts');
export type Rooms = Awaited<ReturnType<typeof loadRooms>>;

/** The repository in the tree; throws CLI_CHECK_FAILED with every problem. */
export function mustLoad(rooms: Rooms, tree: Awaited<ReturnType<Rooms['readDirectory']>>) {
  const { repository, problems } = rooms.loadRepository(tree, Date.now(), rooms.findRegoCompiler);
  if (repository !== undefined) return repository;
  const errors = problems.filter(rooms.isError);
  throw cliErrors.error(
    'CLI_CHECK_FAILED',
    `the repository has ${errors.length} errors:\n${errors.map(rooms.formatProblem).join('\n')}`,
  );
}
