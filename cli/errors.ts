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
  CLI_USAGE: { status: 'INVALID_ARGUMENT', remedy: 'Run the command with --help to see what it takes.' },
  CLI_FILE_FAILED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Check the path and that this user may use it.',
  },
  CLI_CREDENTIAL_INVALID: {
    status: 'FAILED_PRECONDITION',
    remedy:
      'Get a new one with "edgeward operator issue", or on the host of the control plane with "edgeward control credential".',
  },
  CLI_CONTROL_UNREACHABLE: {
    status: 'UNAVAILABLE',
    remedy:
      'Check that "edgeward control run" runs there, and the address (--control, or control.json in the credential).',
  },
  CLI_NOT_FOUND: { status: 'NOT_FOUND', remedy: 'List what there is, and correct the name.' },
  CLI_TARGET_EXISTS: {
    status: 'ALREADY_EXISTS',
    remedy: 'Choose an empty directory, or remove what is there if it is not needed.',
  },
  CLI_EXPORT_MALFORMED: { status: 'DATA_LOSS', remedy: 'Export the log again with: edgeward audit export --out FILE' },
  CLI_CHECK_FAILED: { status: 'FAILED_PRECONDITION', remedy: 'Correct what is listed and run the command again.' },
});
