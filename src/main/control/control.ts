/**
 * The control service: what clients ask of a cluster. One file for each kind of object; all of them
 * read the committed state, decide on the head inside one transaction, and answer once it is committed.
 */
import type { Handlers } from '../rpc/service.ts';
import { clusterHandlers } from './clusters.ts';
import { configHandlers } from './configs.ts';
import type { ControlContext } from './context.ts';
import { extensionHandlers } from './extensions.ts';
import { networkHandlers } from './networks.ts';
import { nodeHandlers } from './nodes.ts';
import { resourceHandlers } from './resources.ts';
import { secretHandlers } from './secrets.ts';
import { serviceStatusHandlers } from './service-statuses.ts';
import { serviceHandlers } from './services.ts';
import { taskHandlers } from './tasks.ts';
import { volumeHandlers } from './volumes.ts';

/** The handlers of all 43 calls, ready for `implement('Control', …)`. */
export function controlHandlers(context: ControlContext): Handlers<'Control'> {
  return {
    ...clusterHandlers(context),
    ...configHandlers(context),
    ...extensionHandlers(context),
    ...networkHandlers(context),
    ...nodeHandlers(context),
    ...resourceHandlers(context),
    ...secretHandlers(context),
    ...serviceHandlers(context),
    ...serviceStatusHandlers(context),
    ...taskHandlers(context),
    ...volumeHandlers(context),
  };
}
