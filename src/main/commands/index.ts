/** Every command, by the words that name it. */
import { ManagerCommand } from './manager.ts';
import { WorkerCommand } from './worker.ts';

export const COMMANDS = {
  manager: ManagerCommand,
  worker: WorkerCommand,
};
