import { InvalidArgumentError } from 'commander'
import { CairnError } from '../base/errors.ts'
import type { PatternOption, ShowOptions } from '../operations/mount.ts'
import type { CommandContext, DefineCommand, Selection } from './context.ts'
import { type FuseOptions, collectFuseOptions } from './mount-options.ts'
import { parseCount } from './option-values.ts'
import { type ShowCommandOptions, accessToShow, toShowOptions } from './show-options.ts'
import { rawField } from './output/raw-json.ts'
import { printable } from './output/text.ts'
import { addPatternOptions } from './pattern-options.ts'
import { addSnapshotOptions } from './snapshot-options.ts'

interface MountCommandOptions extends ShowCommandOptions {
  readonly foreground?: true
  readonly options?: FuseOptions
  readonly webdav?: true
  readonly port?: number
}

const HELP = `
DIR then shows the content of the snapshot. Without SNAPSHOT it shows a folder for each by its
name, as 'borg mount' does; besides, DIR/by-time leads to them by time, and DIR/latest to the
newest. Snapshots made meanwhile appear, deleted ones go. Nothing in DIR can be changed.

The command returns when DIR can be used, and goes on in the background until 'cairn umount DIR';
with --foreground, until then or Ctrl+C. What cannot be read fails with an I/O error, and a line on
standard error tells why; once in the background, a line in the system log (journalctl -t cairn).

-o takes allow_other (let other users in), ignore_permissions (whoever gets in may read everything),
uid=N, gid=N and umask=OCTAL (in place of the owners and modes that are stored).

Where there is no FUSE, --webdav prints an address for browsers and WebDAV clients on this
machine. It takes no DIR. The address is secret: whoever knows it may read everything.

Examples:
  cairn mount /mnt/disk/backups /mnt/backups
  cairn mount -r /mnt/disk/backups latest /mnt/ann home/ann --strip-components 2
  cairn mount --webdav /mnt/disk/backups::monday`

export const define: DefineCommand = (command, context) => {
  command
    .argument('[REPO[::SNAPSHOT]]', 'REPO shows all snapshots, REPO::SNAPSHOT one')
    .argument('[DIR]', 'folder to mount on')
    .argument('[PATHS...]', 'only these paths of the snapshots, and what is below them')
    .usage('[REPO | REPO::SNAPSHOT] DIR [PATH...] [OPTIONS]')
    .option('-f, --foreground', 'stay in the foreground')
    .option('-o, --options <OPTIONS>', 'allow_other, ignore_permissions, uid=N … (see below)', collectFuseOptions)
    .option('--webdav', 'do not mount, but serve programs on this machine by WebDAV, until Ctrl+C')
    .option('--port <N>', 'port for --webdav (default: any that is free)', parsePort)
    .option('--strip-components <N>', 'leave away the first N names of every path', parseCount)
    .option('--numeric-ids', 'owners by number, not by name')
    .option('--workers <N>', 'number of worker threads (default: one per processor)', parseCount)
  addSnapshotOptions(command)
  command
    .addHelpText('after', HELP)
    .action((first: string | undefined, second: string | undefined, paths: string[], options: MountCommandOptions) =>
      run(
        context,
        [first, second, ...paths].filter((word) => word !== undefined),
        options,
        patterns,
      ),
    )
  const patterns = addPatternOptions(command)
}

async function run(
  context: CommandContext,
  values: string[],
  options: MountCommandOptions,
  patterns: readonly PatternOption[],
): Promise<void> {
  const { world, argv } = context
  if (options.webdav) return serve(context, await context.select(values, 'repository'), options, patterns)
  if (options.port !== undefined)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot use --port without --webdav: a mount has none')
  const selection = await context.select(values, 'folder')
  const [mountPoint, ...paths] = selection.rest
  if (mountPoint === undefined)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot mount: name the folder to mount on, after the repository')
  const shown = await toShowOptions(context, { ...selection, rest: paths }, options, patterns)
  if (options.foreground || world.background.isInside)
    return mount(context, selection.location, mountPoint, options, shown)
  if (!argv.every((word) => word.isWellFormed()))
    throw new CairnError(
      'INVALID_ARGUMENT',
      'Cannot mount in the background: an argument is not UTF-8; add --foreground, and & to the line',
    )
  context.foreignExitCode = await world.background.run(argv)
}

async function mount(
  context: CommandContext,
  location: string,
  mountPoint: string,
  { options: fuse = {} }: MountCommandOptions,
  shown: ShowOptions,
): Promise<void> {
  const { output, world } = context
  const { mountSnapshots } = await world.operations.mount()
  const { allowOther, ignorePermissions, ...view } = fuse
  const end = await mountSnapshots(await accessToShow(context, location), {
    ...shown,
    ...view,
    mountPoint,
    allowOther,
    ignorePermissions,
    async onMounted() {
      if (output.settings.json) output.json({ message_type: 'mounted', ...rawField('mount_point', mountPoint) })
      else output.note(`cairn: mounted on ${printable(mountPoint)}; 'cairn umount' ends it`)
      output.flush()
      if (world.background.isInside) output.moveErrors(await world.background.detach())
    },
  })
  if (output.settings.json)
    output.json({ message_type: 'unmounted', ...rawField('mount_point', mountPoint), was_busy: end.wasBusy })
  else if (end.wasBusy) output.warning(`${printable(mountPoint)} was in use when it was unmounted`)
  else if (!world.background.isInside) output.note(`cairn: unmounted ${printable(mountPoint)}`)
}

async function serve(
  context: CommandContext,
  selection: Selection,
  options: MountCommandOptions,
  patterns: readonly PatternOption[],
): Promise<void> {
  const { output, world } = context
  if (options.options !== undefined)
    throw new CairnError('INVALID_ARGUMENT', 'Cannot use -o with --webdav: it is for mounts')
  const { serveSnapshots } = await world.operations.mount()
  await serveSnapshots(await accessToShow(context, selection.location), {
    ...(await toShowOptions(context, selection, options, patterns)),
    port: options.port ?? 0,
    onServing(url) {
      if (output.settings.json) output.json({ message_type: 'serving', url })
      else output.line(url)
      output.note('cairn: serving until Ctrl+C; whoever knows this address may read everything')
      output.flush()
    },
  })
}

function parsePort(value: string): number {
  const port = Number(value)
  if (!/^\d{1,5}$/.test(value) || port > 65_535) throw new InvalidArgumentError('It must be a port from 0 to 65535.')
  return port
}
