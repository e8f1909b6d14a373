/**
 * What a manager does for a client: writes through the log, reads behind an entry of its own or at the
 * read index.
 */
import { ReadsEnded } from '../../src/main/raft/reads.ts';
import { StoreError } from '../../src/main/store/transaction.ts';
import { readCell, writeCell } from './cells.ts';
import type { Action } from './cells.ts';
import type { Checks } from './checks.ts';
import type { Life, Reply } from './manager.ts';
import type { World } from './world.ts';

/** Where a read that is ordered by the log leaves its trace. */
const MARK_KEY = 'config-mark';
/** Some clients go before their answer comes. */
const PATIENCE_MS = 1_500;

type Server = Pick<Life, 'store' | 'driver'> & {
  readonly name: string;
  readonly world: World;
  readonly checks: Checks;
};

export async function perform(server: Server, key: string, action: Action): Promise<Reply> {
  const { store } = server;
  if (action.kind === 'index-read') await confirm(server);
  else if (action.kind === 'read') await mark(server);
  else return { kind: 'done', content: await store.update((tx) => writeCell(tx, key, action)) };
  return { kind: 'done', content: store.view((view) => readCell(view, key)) };
}

/** What a client is told of an error; a defect is thrown on. */
export function replyOf(error: unknown): Reply {
  if (error instanceof ReadsEnded || error instanceof ClientGone) return { kind: 'lost' };
  if (!(error instanceof StoreError)) throw error;
  const { code } = error;
  return code === 'LEADERSHIP_LOST' ? { kind: 'lost' } : { kind: 'refused', code };
}

class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/** An entry of its own proves that this manager leads. */
async function mark({ store }: Server): Promise<void> {
  await store.update((tx) => {
    const kind = readCell(tx, MARK_KEY) === null ? 'create' : 'set';
    return writeCell(tx, MARK_KEY, { kind, value: '' });
  });
}

/** What this manager has applied is confirmed to be new enough. */
async function confirm({ name, world, checks, driver, store }: Server): Promise<void> {
  const gone = new AbortController();
  const timer = world.after(PATIENCE_MS, () => gone.abort(new ClientGone()));
  const floor = checks.committedIndex;
  await driver.readIndex(gone.signal);
  timer.cancel();
  checks.reads(name, floor, store.appliedIndex);
}
