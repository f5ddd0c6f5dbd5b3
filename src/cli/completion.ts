import { Argument } from 'commander'
import { SCRIPTS, SHELLS, type Shell } from './completion/scripts.ts'
import type { DefineCommand } from './context.ts'

const HELP = `
The script completes commands, options, their values, files, and after REPO:: or -r REPO the names of snapshots: of a repository on
this machine that can be opened without a question. To have it in every shell, put a line into the file that the shell reads first:

  ~/.bashrc                    source <(cairn completion bash)
  ~/.zshrc, after compinit     source <(cairn completion zsh)
  ~/.config/fish/config.fish   cairn completion fish | source

Examples:
  source <(cairn completion bash)
  cairn completion zsh > /usr/local/share/zsh/site-functions/_cairn`

export const define: DefineCommand = (command, context) => {
  command
    .addArgument(new Argument('<SHELL>', 'which shell is to complete').choices(SHELLS))
    .usage('bash | zsh | fish')
    .addHelpText('after', HELP)
    .action((shell: Shell) => context.output.text(SCRIPTS[shell](context.asBorg)))
}
