/** `skein manager`: runs a manager in the foreground. */
import { Command, Flags } from '@oclif/core';
import { CommandError, ExitCode } from '../cli/command-error.ts';
import { engineAnswers } from '../cli/engine.ts';
import {
  advertised,
  availabilityOf,
  DEFAULT_PORT,
  DEFAULT_SOCKET,
  executorOf,
  hostPort,
  nodeFlags,
  offerOf,
} from '../cli/node-flags.ts';

export class ManagerCommand extends Command {
  static override summary = 'Run a manager';
  static override description =
    'Founds a cluster when the state directory is new, or joins the managers of another with ' +
    '--join-addr and their manager token; goes on with what the directory holds otherwise. ' +
    'The node also runs tasks; with --executor none it is drained, unless --availability says otherwise.';

  static override examples = [
    '<%= config.bin %> <%= command.id %> --state-dir /var/lib/skein',
    '<%= config.bin %> <%= command.id %> --state-dir /var/lib/skein --join-addr 10.0.0.1:2377 --join-token SWMTKN-1-...',
    '<%= config.bin %> <%= command.id %> --listen-remote-api 10.0.0.1:2377 --availability drain',
  ];

  static override flags = {
    ...nodeFlags,
    'listen-remote-api': Flags.string({
      description: 'host:port for nodes and managers',
      default: `0.0.0.0:${DEFAULT_PORT}`,
    }),
    'advertise-remote-api': Flags.string({ description: 'host:port at which others reach it' }),
    'listen-control-api': Flags.string({
      description: 'the control socket',
      default: DEFAULT_SOCKET,
    }),
    'heartbeat-tick': Flags.integer({
      description: 'ticks between two heartbeats of the leader',
      default: 1,
      min: 1,
      max: 1000,
    }),
    'election-tick': Flags.integer({
      description: 'ticks without a heartbeat before an election',
      default: 10,
      min: 2,
      max: 10_000,
    }),
    'raft-tick': Flags.integer({
      description: 'milliseconds of a tick; the same on all managers',
      default: 100,
      min: 10,
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(ManagerCommand);
    const { runDaemon } = await import('../cli/daemon.ts');
    const listen = hostPort('listen-remote-api', flags['listen-remote-api'], DEFAULT_PORT);
    const given = flags['advertise-remote-api'];
    const advertise = advertised(
      given === undefined ? undefined : hostPort('advertise-remote-api', given, listen.port),
      listen,
    );
    const address = flags['join-addr'];
    const executor = await executorOf(flags, engineAnswers);
    process.exitCode = await runDaemon({
      stateDir: flags['state-dir'],
      hostname: flags.hostname ?? '',
      join: address === undefined ? undefined : { address, token: flags['join-token'] ?? '' },
      // Where nothing can run, nothing shall be placed.
      availability: availabilityOf(flags.availability ?? (executor ? 'active' : 'drain')),
      executor,
      taskThreads: flags['task-threads'],
      offer: offerOf(flags),
      manager: {
        listen,
        advertise,
        controlSocket: flags['listen-control-api'],
        tickMs: flags['raft-tick'],
        raft: raftTicks(flags['heartbeat-tick'], flags['election-tick']),
      },
      logLevel: flags['log-level'],
    });
  }
}

function raftTicks(
  heartbeatTicks: number,
  electionTicks: number,
): { heartbeatTicks: number; electionTicks: number } {
  if (electionTicks <= heartbeatTicks) {
    throw new CommandError(
      `--election-tick ${electionTicks}: must be more than --heartbeat-tick ${heartbeatTicks}, e.g. 10 and 1`,
      ExitCode.USAGE,
    );
  }
  return { heartbeatTicks, electionTicks };
}
