/** `skein cluster restore`: a manager's state directory from a backup. */
import { Args, Command, Flags } from '@oclif/core';
import { millisOf } from '../../../shared/model/time.ts';
import { BackupFile } from '../../backup/backup-file.ts';
import { BackupError } from '../../backup/records.ts';
import { restore, type Restored } from '../../backup/restore.ts';
import { inspectFlags } from '../../cli/client-command.ts';
import { CommandError } from '../../cli/command-error.ts';
import { availabilityOf } from '../../cli/node-flags.ts';
import { passphraseFlag, passphraseOf } from '../../cli/passphrase.ts';
import { processTerminal, type Terminal } from '../../cli/terminal.ts';
import { realEnv } from '../../env.ts';

export class ClusterRestoreCommand extends Command {
  static override summary = 'Make the state directory of a manager from a backup';
  static override description =
    'For a cluster whose managers are all lost. The new manager is a cluster of one with the same nodes, ' +
    'services, secrets and tokens, and may be reached at another address: nodes that only know the old ' +
    'ones find it with --join-addr. Make sure that no manager of before runs any more.';

  static override examples = [
    '<%= config.bin %> <%= command.id %> cluster.backup --state-dir /var/lib/skein',
  ];
  static override args = {
    file: Args.string({ description: 'the backup', required: true, ignoreStdin: true }),
  };
  static override flags = {
    ...inspectFlags,
    ...passphraseFlag,
    'state-dir': Flags.string({
      char: 'd',
      description: 'the directory to make; what is there must be empty',
      required: true,
    }),
    availability: Flags.string({
      description: "whether the manager's own node takes tasks",
      options: ['active', 'pause', 'drain'],
      default: 'active',
    }),
  };

  terminal: Terminal = processTerminal();

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterRestoreCommand);
    const passphrase = await passphraseOf(flags['passphrase-file']);
    const stateDir = flags['state-dir'];
    try {
      using file = new BackupFile(args.file, passphrase);
      const availability = availabilityOf(flags.availability);
      const restored = await restore({ file, stateDir, availability, env: realEnv });
      this.terminal.out(
        flags.format === 'json' ? json(file, restored) : text(file, restored, stateDir),
      );
    } catch (error) {
      if (error instanceof BackupError) throw new CommandError(`${args.file} ${error.message}`);
      throw error;
    }
  }
}

const timeOf = ({ header }: BackupFile): string => new Date(millisOf(header.time)).toISOString();

function json(file: BackupFile, { nodeId, counts }: Restored): string {
  const { clusterId, index } = file.header;
  const objects = Object.fromEntries(counts);
  return `${JSON.stringify({ clusterId, nodeId, index, time: timeOf(file), objects })}\n`;
}

function text(file: BackupFile, { nodeId, counts }: Restored, stateDir: string): string {
  const { clusterId, index } = file.header;
  const objects = [...counts].map(([kind, count]) => `${kind} ${count}`).join(', ');
  return `Restored cluster ${clusterId} as of ${timeOf(file)}, index ${index} (${objects}).

Node ${nodeId} is its only manager. Start it with:

    skein manager --state-dir ${stateDir} --listen-remote-api HOST:2377

Workers that know no address of it any more find it with --join-addr HOST:2377.
`;
}
