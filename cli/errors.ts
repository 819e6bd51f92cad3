// Closed table of what the commands themselves refuse.
import { errorTable } from '../runtime/errors.ts';

export const cliErrors = errorTable({
  CLI_NO_CREDENTIAL: {
    status: 'FAILED_PRECONDITION',
    remedy:
      'Pass --identity DIR or set EDGEWARD_IDENTITY; "edgeward control init" makes the first one, "edgeward operator issue" more.',
  },
  CLI_EDGE_UNREACHABLE: {
    status: 'UNAVAILABLE',
    remedy: 'Start it with: edgeward edge run --config FILE, and check diagnostics in the configuration.',
  },
  CLI_INPUT_MISSING: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Give the input as a file, on standard input, or at the prompt.',
  },
  CLI_TARGET_EXISTS: {
    status: 'ALREADY_EXISTS',
    remedy: 'Choose an empty directory, or remove what is there if it is not needed.',
  },
  CLI_EXPORT_MALFORMED: { status: 'DATA_LOSS', remedy: 'Export the log again with: edgeward audit export --out FILE' },
  CLI_CHECK_FAILED: { status: 'FAILED_PRECONDITION', remedy: 'Correct what is listed and run the command again.' },
});
