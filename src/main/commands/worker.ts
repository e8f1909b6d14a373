/** `skein worker`: runs a worker in the foreground. */
import { Command } from '@oclif/core';
import { CommandError } from '../cli/command-error.ts';
import { engineAnswers } from '../cli/engine.ts';
import { managerFlags, managerSettingsOf } from '../cli/manager-flags.ts';
import {
  availabilityOf,
  DEFAULT_PORT,
  executorOf,
  hostPort,
  nodeFlags,
  offerOf,
} from '../cli/node-flags.ts';

export class WorkerCommand extends Command {
  static override summary = 'Run a worker';
  static override description =
    'Joins the cluster of --join-addr when the state directory is new, and goes on as the node it ' +
    'was otherwise. Ctrl-C ends its tasks; SIGTERM leaves them running for the next start. A worker ' +
    'that is promoted becomes a manager as it runs: the manager flags say where that listens.';

  static override examples = [
    '<%= config.bin %> <%= command.id %> --join-addr 10.0.0.1:2377 --join-token SWMTKN-1-...',
  ];

  static override flags = { ...nodeFlags, ...managerFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(WorkerCommand);
    const { runDaemon } = await import('../cli/daemon.ts');
    const { hasIdentity } = await import('../node/identity-files.ts');
    const address = flags['join-addr'];
    const token = flags['join-token'];
    const stateDir = flags['state-dir'];
    if (!(await hasIdentity(stateDir)) && (address === undefined || token === undefined)) {
      throw new CommandError(
        `${stateDir} holds no node yet: give --join-addr and --join-token ` +
          '("skein cluster token worker" on a manager prints both)',
      );
    }
    const executor = await executorOf(flags, engineAnswers);
    if (executor === undefined) throw new CommandError('a worker needs an executor');
    process.exitCode = await runDaemon({
      stateDir,
      hostname: flags.hostname ?? '',
      join: address === undefined ? undefined : joinOf(address, token ?? ''),
      availability: availabilityOf(flags.availability),
      executor,
      taskThreads: flags['task-threads'],
      offer: offerOf(flags),
      // Used only while the cluster makes this node a manager.
      manager: managerSettingsOf(flags),
      logLevel: flags['log-level'],
    });
  }
}

function joinOf(address: string, token: string): { address: string; token: string } {
  const { host, port } = hostPort('join-addr', address, DEFAULT_PORT);
  return { address: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, token };
}
