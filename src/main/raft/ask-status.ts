import type { ManagerReport } from '../../shared/wire/gen/operations.ts';
import type { Log } from '../log.ts';
import { LISTENS_AT } from '../rpc/authorise.ts';
import type { Channel } from '../rpc/client.ts';

/** What each manager gets to answer. */
const ASK_TIMEOUT_MS = 2000;

export type Asking = {
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Where the manager that asks is reached: those that it asks send to it there. */
  readonly listensAt?: string;
};

/** What the managers at these addresses tell; those that do not answer are left out. */
export async function askStatus(
  addresses: readonly string[],
  connect: (address: string) => Channel,
  { log, signal, listensAt }: Asking,
): Promise<ManagerReport[]> {
  const metadata = listensAt === undefined ? {} : { [LISTENS_AT]: listensAt };
  const ask = async (address: string): Promise<ManagerReport[]> => {
    try {
      using channel = connect(address);
      const call = { timeoutMs: ASK_TIMEOUT_MS, signal, metadata };
      return [(await channel.service('Operations').Status({}, call)).manager];
    } catch (error) {
      signal.throwIfAborted();
      log.debug({ error, address }, 'a manager does not tell its status');
      return [];
    }
  };
  return (await Promise.all(addresses.map(ask))).flat();
}
