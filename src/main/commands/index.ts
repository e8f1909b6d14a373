/** Every command, by the words that name it. */
import { ClusterBackupCommand } from './cluster/backup.ts';
import { ClusterInspectCommand } from './cluster/inspect.ts';
import { ClusterRestoreCommand } from './cluster/restore.ts';
import { ClusterRotateDataKeyCommand } from './cluster/rotate-data-key.ts';
import { ClusterStatusCommand } from './cluster/status.ts';
import { ClusterTokenCommand } from './cluster/token.ts';
import { ClusterUpdateCommand } from './cluster/update.ts';
import { ConfigCreateCommand } from './config/create.ts';
import { ConfigInspectCommand } from './config/inspect.ts';
import { ConfigLsCommand } from './config/ls.ts';
import { ConfigRmCommand } from './config/rm.ts';
import { DownCommand } from './down.ts';
import { LeaveCommand } from './leave.ts';
import { ManagerCommand } from './manager.ts';
import { NetworkCreateCommand } from './network/create.ts';
import { NetworkInspectCommand } from './network/inspect.ts';
import { NetworkLsCommand } from './network/ls.ts';
import { NetworkRmCommand } from './network/rm.ts';
import { NodeDemoteCommand } from './node/demote.ts';
import { NodeInspectCommand } from './node/inspect.ts';
import { NodeLsCommand } from './node/ls.ts';
import { NodePromoteCommand } from './node/promote.ts';
import { NodeRmCommand } from './node/rm.ts';
import { NodeUpdateCommand } from './node/update.ts';
import { SecretCreateCommand } from './secret/create.ts';
import { SecretInspectCommand } from './secret/inspect.ts';
import { SecretLsCommand } from './secret/ls.ts';
import { SecretRmCommand } from './secret/rm.ts';
import { ServiceCreateCommand } from './service/create.ts';
import { ServiceInspectCommand } from './service/inspect.ts';
import { ServiceLogsCommand } from './service/logs.ts';
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
  'cluster:backup': ClusterBackupCommand,
  'cluster:inspect': ClusterInspectCommand,
  'cluster:restore': ClusterRestoreCommand,
  'cluster:rotate-data-key': ClusterRotateDataKeyCommand,
  'cluster:status': ClusterStatusCommand,
  'cluster:token': ClusterTokenCommand,
  'cluster:update': ClusterUpdateCommand,
  'config:create': ConfigCreateCommand,
  'config:inspect': ConfigInspectCommand,
  'config:ls': ConfigLsCommand,
  'config:rm': ConfigRmCommand,
  down: DownCommand,
  leave: LeaveCommand,
  manager: ManagerCommand,
  'network:create': NetworkCreateCommand,
  'network:inspect': NetworkInspectCommand,
  'network:ls': NetworkLsCommand,
  'network:rm': NetworkRmCommand,
  'node:demote': NodeDemoteCommand,
  'node:inspect': NodeInspectCommand,
  'node:ls': NodeLsCommand,
  'node:promote': NodePromoteCommand,
  'node:rm': NodeRmCommand,
  'node:update': NodeUpdateCommand,
  'secret:create': SecretCreateCommand,
  'secret:inspect': SecretInspectCommand,
  'secret:ls': SecretLsCommand,
  'secret:rm': SecretRmCommand,
  'service:create': ServiceCreateCommand,
  'service:inspect': ServiceInspectCommand,
  'service:logs': ServiceLogsCommand,
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
