import { VERSION } from '../operations/version.ts'
import type { DefineCommand } from './context.ts'

export const define: DefineCommand = (command, context) => {
  command.usage('[OPTIONS]').action(() => {
    if (context.common.json) {
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
