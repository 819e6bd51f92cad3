// edgeward completion bash|zsh|fish: a script for the shell, made from the command tree. Names are ours: letters and dashes.
import { Argument, type Command } from 'commander';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

/** What can follow a line of commands: `device` → list, show …; `device list` → its options. */
interface Follow {
  readonly line: string;
  readonly commands: readonly Command[];
  readonly options: readonly string[];
}

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .description('print completion for a shell, e.g. bash: source <(edgeward completion bash)')
    .addArgument(new Argument('<shell>').choices(shells))
    .action((shell: Shell) => void process.stdout.write(completionScript(program, shell)));
}

export function completionScript(program: Command, shell: Shell): string {
  const follows = followsOf(program, '');
  if (shell === 'fish') return fishScript(follows);
  const cases = follows.map(({ line, commands, options }) => {
    const words = [...commands.map((command) => command.name()), ...options].join(' ');
    return `    '${line}') words='${words}' ;;`;
  });
  const script = bashScript(cases.join('\n'));
  return shell === 'bash' ? script : `#compdef edgeward\nautoload -U +X bashcompinit && bashcompinit\n${script}`;
}

function followsOf(command: Command, line: string): Follow[] {
  const options = [...command.options.map((option) => option.long ?? ''), '--help'].filter((name) => name !== '');
  const below = command.commands.flatMap((child) => followsOf(child, `${line} ${child.name()}`.trim()));
  return [{ line, commands: command.commands, options }, ...below];
}

/** The line without options decides; after an option, and for arguments, files are offered. */
const bashScript = (cases: string): string => `_edgeward() {
  local line='' words='' word previous="\${COMP_WORDS[COMP_CWORD-1]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) break ;; *) line="\${line:+$line }$word" ;; esac
  done
  case "$line" in
${cases}
  esac
  COMPREPLY=()
  case "$previous" in --json | -*[!-]*) [ "$previous" = --json ] || return ;; esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _edgeward edgeward
`;

function fishScript(follows: readonly Follow[]): string {
  const quoted = (text: string): string => `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
  const lines = follows.flatMap(({ line, commands, options }) => {
    const when = `-n ${quoted(`__edgeward_line ${quoted(line)}`)}`;
    return [
      ...commands.map(
        (command) => `complete -c edgeward ${when} -f -a ${command.name()} -d ${quoted(command.description())}`,
      ),
      ...options.map((option) => `complete -c edgeward ${when} -l ${option.slice(2)}`),
    ];
  });
  return `function __edgeward_line
  set -l words (commandline -opc)
  test "$(string match -v -- '-*' $words[2..] | string join ' ')" = "$argv[1]"
end
${lines.join('\n')}
`;
}
