import type { CommandContext, DefineCommand } from './context.ts'
import { EXIT_WARNINGS } from './exit-codes.ts'
import { printable } from './output/text.ts'

interface DoctorCommandOptions {
  readonly mountinfo?: string
}

const HELP = `
Looks at this machine and at PATHS, or all file servers that are mounted: whether all system
calls can be made, whether a file server's attributes are cached, how exact its times are.
With -r it also looks at where a repository lies. Exit code 3 means that there are warnings.

Examples:
  cairn doctor
  cairn doctor /mnt/nas/project
  cairn doctor -r /mnt/disk/backups ~/documents`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[PATHS...]', 'folders that are backed up')
    .usage('[PATH...] [OPTIONS]')
    .option('--mountinfo <FILE>', "a list of mounts instead of this system's own (/proc/self/mountinfo)")
    .addHelpText('after', HELP)
    .action((paths: string[], options: DoctorCommandOptions) => run(context, paths, options))
}

async function run(context: CommandContext, paths: string[], { mountinfo }: DoctorCommandOptions): Promise<void> {
  const { output, world, common } = context
  const { examine } = await world.operations.doctor()
  const findings = examine({ paths, mountInfoFile: mountinfo, repository: common.repo })
  for (const { status, subject, message, advice } of findings) {
    if (output.settings.json) output.json({ message_type: 'finding', status, subject, message, advice })
    else if (status === 'warning' || !output.settings.quiet) {
      const word = status === 'ok' ? output.style('green', 'ok     ') : output.style('yellow', 'warning')
      output.line(`${word} ${printable(subject)}: ${printable(message)}`)
      if (advice) output.line(`        ${printable(advice)}`)
    }
  }
  if (findings.some(({ status }) => status === 'warning')) context.exitCode = EXIT_WARNINGS
}
