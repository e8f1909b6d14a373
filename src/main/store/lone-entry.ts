/** One log entry with the writes of one transaction, made where there is no log yet. */
import type { Env } from '../../shared/kit/env.ts';
import type { Log } from './proposals.ts';
import { ReplicatedStore } from './store.ts';
import type { Transaction } from './transaction.ts';

/**
 * The bytes of an entry to stand at `index`. The transaction sees an empty store.
 * @throws what `write` throws; Error when it writes nothing, or more than one entry holds
 */
export async function loneEntry(
  index: number,
  env: Env,
  write: (tx: Transaction) => void,
): Promise<Uint8Array> {
  const entries: Uint8Array[] = [];
  const log: Log = {
    lastIndex: index - 1,
    leading: true,
    propose(bytes) {
      entries.push(bytes);
      return { index };
    },
  };
  const store = new ReplicatedStore({ env, log });
  await store.restore(index - 1, []);
  const written = store.update(write);
  await new Promise<void>((resolve) => void setImmediate(() => setImmediate(resolve)));
  const [entry] = entries;
  if (entry === undefined || entries.length > 1)
    throw new Error('the transaction is not one entry');
  store.committed(index, entry);
  await written;
  return entry;
}
