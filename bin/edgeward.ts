// The edgeward command. Exit codes: 0 done, 1 refused or failed, 2 usage, 3 could not reach.
import { CommanderError } from 'commander';
import { reportError, reportUsage } from '../cli/io.ts';
import { createProgram } from '../cli/program.ts';

// Whoever reads our output may stop reading (`| head`); that is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

const json = process.argv.includes('--json');
try {
  await createProgram(json).parseAsync(process.argv);
} catch (error) {
  process.exitCode = error instanceof CommanderError ? reportUsage(error, json) : reportError(error, json);
}
