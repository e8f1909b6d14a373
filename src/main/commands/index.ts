/** Every command, by the words that name it. */
import { ClusterInspectCommand } from './cluster/inspect.ts';
import { ClusterTokenCommand } from './cluster/token.ts';
import { ClusterUpdateCommand } from './cluster/update.ts';
import { DownCommand } from './down.ts';
import { ManagerCommand } from './manager.ts';
import { NodeInspectCommand } from './node/inspect.ts';
import { NodeLsCommand } from './node/ls.ts';
import { NodeRmCommand } from './node/rm.ts';
import { NodeUpdateCommand } from './node/update.ts';
import { ServiceCreateCommand } from './service/create.ts';
import { ServiceInspectCommand } from './service/inspect.ts';
import { ServiceLsCommand } from './service/ls.ts';
import { ServicePsCommand } from './service/ps.ts';
import { ServiceRmCommand } from './service/rm.ts';
import { ServiceScaleCommand } from './service/scale.ts';
import { ServiceUpdateCommand } from './service/update.ts';
import { TaskInspectCommand } from './task/inspect.ts';
import { TaskLsCommand } from './task/ls.ts';
import { UpCommand } from './up.ts';
import { WorkerCommand } from './worker.ts';

export const COMMANDS = {
  'cluster:inspect': ClusterInspectCommand,
  'cluster:token': ClusterTokenCommand,
  'cluster:update': ClusterUpdateCommand,
  down: DownCommand,
  manager: ManagerCommand,
  'node:inspect': NodeInspectCommand,
  'node:ls': NodeLsCommand,
  'node:rm': NodeRmCommand,
  'node:update': NodeUpdateCommand,
  'service:create': ServiceCreateCommand,
  'service:inspect': ServiceInspectCommand,
  'service:ls': ServiceLsCommand,
  'service:ps': ServicePsCommand,
  'service:rm': ServiceRmCommand,
  'service:scale': ServiceScaleCommand,
  'service:update': ServiceUpdateCommand,
  'task:inspect': TaskInspectCommand,
  'task:ls': TaskLsCommand,
  up: UpCommand,
  worker: WorkerCommand,
};
