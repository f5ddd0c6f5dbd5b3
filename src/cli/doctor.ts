import type { CommandContext, DefineCommand } from './context.ts'
import { EXIT_WARNINGS } from './exit-codes.ts'
import { parseDuration } from './option-values.ts'
import { printable } from './output/text.ts'

interface DoctorCommandOptions {
  readonly mountinfo?: string
  readonly maxAge?: number
}

const HELP = `
Looks at this machine and at PATHS, or all file servers that are mounted: whether all system
calls can be made, whether a file server's attributes are cached, how exact its times are.
With -r it also looks at where a repository lies; with --max-age, at how old the newest
snapshots in it are, of PATHS or of everything that was ever saved in it: a backup that has
silently stopped is found so. Exit code 3 means that there are warnings.

Examples:
  cairn doctor
  cairn doctor /mnt/nas/project
  cairn doctor -r /mnt/disk/backups ~/documents
  cairn doctor -q -r /mnt/disk/backups --max-age 26h || mail -s 'no backup' ann`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[PATHS...]', 'folders that are backed up')
    .usage('[PATH...] [OPTIONS]')
    .option('--mountinfo <FILE>', "a list of mounts instead of this system's own (/proc/self/mountinfo)")
    .option(
      '--max-age <TIME>',
      'warn of what has no newer snapshot in the repository, like 26h or 7d',
      parseDuration('h'),
    )
    .addHelpText('after', HELP)
    .action((paths: string[], options: DoctorCommandOptions) => run(context, paths, options))
}

async function run(context: CommandContext, paths: string[], options: DoctorCommandOptions): Promise<void> {
  const { output, world, common } = context
  const { mountinfo, maxAge } = options
  const { examine } = await world.operations.doctor()
  const findings = examine({ paths, mountInfoFile: mountinfo, repository: common.repo })
  if (maxAge !== undefined) {
    const { examineSnapshotAges } = await world.operations.snapshotAges()
    const { location } = await context.select([], 'repository')
    findings.push(...(await examineSnapshotAges(await context.access(location), { paths, maxAgeMs: maxAge })))
  }
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
