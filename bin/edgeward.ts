// The edgeward command. Exit codes: 0 done, 1 refused or failed, 2 usage, 3 could not reach.
import { CommanderError } from 'commander';
import { exitCodes, reportError } from '../cli/io.ts';
import { createProgram } from '../cli/program.ts';

const program = createProgram();
for (const command of [program, ...program.commands, ...program.commands.flatMap((group) => group.commands)])
  command.exitOverride();
try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  else process.exitCode = reportError(error, process.argv.includes('--json'));
}
