/** `skein leave`: takes this machine's node out of its cluster. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Flags } from '@oclif/core';
import { ClientCommand } from '../cli/client-command.ts';
import { CommandError, ExitCode } from '../cli/command-error.ts';
import { withCluster } from '../cli/connection.ts';
import { realEnv } from '../env.ts';
import { Channel } from '../rpc/client.ts';

/** Ending tasks may take its time. */
const TIMEOUT_MS = 90_000;
const CALL = { timeoutMs: 5000 } as const;
const POLL_MS = 200;
/** A manager that becomes a worker on its way closes its socket for a moment. */
const GONE_MS = 2000;

export class LeaveCommand extends ClientCommand {
  static override summary = "Take this machine's node out of its cluster";
  static override description =
    'The node ends its tasks, forgets the cluster, and its process ends. A manager has to be demoted ' +
    'first, or leaves with --force. Afterwards a manager can take the node off the list with "skein node rm".';

  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --force',
  ];

  static override flags = {
    force: Flags.boolean({ description: 'as a manager too, whatever becomes of the cluster' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(LeaveCommand);
    await withCluster(flags.socket, ({ operations }) =>
      operations.Leave({ force: flags.force }, CALL),
    );
    await untilGone(flags.socket);
    this.print('The node has left the cluster.');
  }
}

/** @throws CommandError when the node still answers after a long while */
async function untilGone(socketPath: string): Promise<void> {
  const beganMs = realEnv.nowMs();
  let seenMs = beganMs;
  while (realEnv.nowMs() - seenMs < GONE_MS) {
    await sleep(POLL_MS);
    if (await answers(socketPath)) seenMs = realEnv.nowMs();
    if (seenMs - beganMs > TIMEOUT_MS) {
      throw new CommandError('the node has not ended in time; see its log', ExitCode.TIMEOUT);
    }
  }
}

async function answers(path: string): Promise<boolean> {
  using channel = new Channel({ to: 'socket', path });
  try {
    await channel.service('Health').Check({ service: '' }, CALL);
    return true;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}
