/** A command's way to the cluster: the manager's control socket. */
import { access } from 'node:fs/promises';
import { Channel, type ServiceClient } from '../rpc/client.ts';
import { Code, hasCode } from '../rpc/errors.ts';
import { CommandError } from './command-error.ts';

export type Control = ServiceClient<'Control'>;
export type Cluster = {
  readonly control: Control;
  readonly logs: ServiceClient<'Logs'>;
  readonly operations: ServiceClient<'Operations'>;
};

/**
 * Calls `use` with the clients of the manager at this socket, and closes the connection after it.
 *
 * @throws CommandError that says which socket it was and how to start a manager, when none answers
 */
export async function withCluster<T>(
  socketPath: string,
  use: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  await socketIsThere(socketPath);
  using channel = new Channel({ to: 'socket', path: socketPath });
  try {
    return await use({
      control: channel.service('Control'),
      logs: channel.service('Logs'),
      operations: channel.service('Operations'),
    });
  } catch (error) {
    if (!hasCode(error, Code.UNAVAILABLE) || !error.message.startsWith('cannot connect'))
      throw error;
    const reason = error.message.slice(error.message.indexOf(': ') + 2);
    throw new CommandError(`no manager answers at ${socketPath} (${reason}). ${HOW_TO_START}`);
  }
}

const HOW_TO_START =
  'Start one with "skein up" or "skein manager", or name the socket of a running one with --socket or SKEIN_SOCKET';

async function socketIsThere(socketPath: string): Promise<void> {
  try {
    await access(socketPath);
  } catch (error) {
    const denied = error instanceof Error && 'code' in error && error.code === 'EACCES';
    throw new CommandError(
      denied
        ? `this user may not open ${socketPath}; run as the user that runs the manager`
        : `there is no manager at ${socketPath}: no such socket. ${HOW_TO_START}`,
    );
  }
}
