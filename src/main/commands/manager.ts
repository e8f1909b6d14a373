/** `skein manager`: runs a manager in the foreground. */
import { Command, Flags } from '@oclif/core';
import { engineAnswers } from '../cli/engine.ts';
import { managerFlags, managerSettingsOf } from '../cli/manager-flags.ts';
import { availabilityOf, executorOf, nodeFlags, offerOf } from '../cli/node-flags.ts';

export class ManagerCommand extends Command {
  static override summary = 'Run a manager';
  static override description =
    'Founds a cluster when the state directory is new, or joins the managers of another with ' +
    '--join-addr and their manager token; goes on with what the directory holds otherwise. ' +
    'The node also runs tasks; with --executor none it is drained, unless --availability says otherwise. ' +
    'A manager whose others are lost for good goes on alone with --force-new-cluster: with all that it ' +
    'knows, and with the same workers. A manager that is demoted goes on as a worker, and this command line serves for that too.';

  static override examples = [
    '<%= config.bin %> <%= command.id %> --state-dir /var/lib/skein',
    '<%= config.bin %> <%= command.id %> --state-dir /var/lib/skein --join-addr 10.0.0.1:2377 --join-token SWMTKN-1-...',
    '<%= config.bin %> <%= command.id %> --listen-remote-api 10.0.0.1:2377 --availability drain',
  ];

  static override flags = {
    ...nodeFlags,
    ...managerFlags,
    'force-new-cluster': Flags.boolean({
      description: 'go on as a cluster of one: the other managers are lost for good',
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(ManagerCommand);
    const { runDaemon } = await import('../cli/daemon.ts');
    const address = flags['join-addr'];
    const executor = await executorOf(flags, engineAnswers);
    process.exitCode = await runDaemon({
      stateDir: flags['state-dir'],
      hostname: flags.hostname ?? '',
      forceNewCluster: flags['force-new-cluster'],
      join: address === undefined ? undefined : { address, token: flags['join-token'] ?? '' },
      // Where nothing can run, nothing shall be placed.
      availability: availabilityOf(flags.availability ?? (executor ? 'active' : 'drain')),
      executor,
      taskThreads: flags['task-threads'],
      offer: offerOf(flags),
      manager: managerSettingsOf(flags),
      logLevel: flags['log-level'],
    });
  }
}
