import { VERSION } from '../operations/version.ts'
import { thirdPartyNotices } from '../platform/installation.ts'
import type { DefineCommand } from './context.ts'

export const define: DefineCommand = (command, context) => {
  command.usage('[OPTIONS]').option('--licenses', 'print the licences of what others wrote and is part of this copy')
  command.action(({ licenses }: { licenses?: boolean }) => {
    if (licenses) {
      context.output.line(
        thirdPartyNotices() ?? 'Nothing: packages that others wrote lie in node_modules, with their licences.',
      )
    } else if (context.common.json) {
      context.output.json({
        message_type: 'version',
        version: VERSION,
        node_version: process.versions.node,
        os: process.platform,
        arch: process.arch,
      })
    } else {
      context.output.line(`cairn ${VERSION}`)
      if (context.common.verbose) {
        context.output.line(`node ${process.versions.node} on ${process.platform} ${process.arch}`)
      }
    }
  })
}
