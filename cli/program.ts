// The command tree. Object, then verb; one file a command group; heavy programs are loaded only when they run.
import { Command } from 'commander';
import { version } from './version.ts';
import { registerAudit } from './audit.ts';
import { registerBreakGlass } from './break-glass.ts';
import { registerCompletion } from './completion.ts';
import { registerControl } from './control.ts';
import { registerDemo } from './demo.ts';
import { registerDevices } from './devices.ts';
import { registerEdge } from './edge.ts';
import { registerFirewall } from './firewall.ts';
import { registerFindings } from './findings.ts';
import { registerOperators } from './operators.ts';
import { registerPolicy } from './policy.ts';
import { registerSites } from './sites.ts';
import { registerTokens } from './tokens.ts';

/** With `json` usage errors are left to whoever catches them: standard output holds one document and nothing else. */
export function createProgram(json = false): Command {
  const program = new Command('edgeward')
    .description('Zero-trust control plane for fleets of edge devices')
    .version(version, '-V, --version')
    .exitOverride()
    .configureOutput(json ? { writeErr: () => undefined } : {})
    .showHelpAfterError('(run the command with --help to see what it takes)')
    .configureHelp({ sortSubcommands: true });
  registerDemo(program);
  registerControl(program);
  registerOperators(program);
  registerTokens(program);
  registerEdge(program);
  registerDevices(program);
  registerSites(program);
  registerPolicy(program);
  registerAudit(program);
  registerFindings(program);
  registerFirewall(program);
  registerBreakGlass(program);
  registerCompletion(program);
  return program;
}
