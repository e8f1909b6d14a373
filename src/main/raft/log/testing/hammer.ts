/**
 * Uses the log in a directory as hard as it can until it is killed or the disk is full:
 * `node hammer.ts DIRECTORY KEPT`. After each save it tells the last index on a line; then how it ended.
 * So many entries are kept when the log is compacted.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Entry, HardState, SnapshotMetadata } from '../../../../shared/wire/gen/raftpb.ts';
import { LmdbLog } from '../lmdb-log.ts';

export const HAMMER_KEY = new Uint8Array(32).fill(9);
const SNAPSHOT_PIECES = 3;

/** What entry `index` holds: as many bytes as its number says, from none to much. */
export const hammerEntry = (index: number): Entry =>
  Entry.create({ index, term: 1, data: new Uint8Array((index * 7919) % 60_000).fill(index) });

async function* pieces(index: number): AsyncIterable<Uint8Array> {
  for (let i = 0; i < SNAPSHOT_PIECES; i += 1) yield new Uint8Array(200_000).fill(index);
}

async function saveAll(log: LmdbLog, told: (index: number) => void): Promise<never> {
  for (;;) {
    const first = log.lastIndex() + 1;
    const entries = Array.from({ length: 1 + (first % 7) }, (_, i) => hammerEntry(first + i));
    const last = first + entries.length - 1;
    const hardState = HardState.create({ term: 1, commit: last });
    await log.save({ hardState, snapshot: null, entries, mustSync: true });
    told(last);
  }
}

async function compactAll(log: LmdbLog, kept: number, failed: () => void): Promise<never> {
  for (;;) {
    const index = log.lastIndex();
    const snapshot = log.snapshot()?.metadata.index ?? 0;
    if (index - snapshot > kept) {
      const meta = { ...SnapshotMetadata.create({ index, term: 1 }), members: [], removed: [] };
      await log
        .saveSnapshot(meta, pieces(index))
        .then(() => log.compact(index - kept))
        .catch(failed);
    }
    await nextTurn();
  }
}

const tell = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(directory: string, kept: number): Promise<void> {
  const log = new LmdbLog(directory, HAMMER_KEY);
  await log.removeLeftovers();
  // The limit of a file's size stands for that of the disk: a write fails, and this is no reason to die.
  process.on('SIGXFSZ', () => undefined);
  const saving = saveAll(log, (index) => tell(String(index)));
  compactAll(log, kept, () => tell('no snapshot')).catch(() => tell('no compaction'));
  await saving.catch(() => tell('no save'));
  const again = { hardState: HardState.create({ term: 9 }), snapshot: null, entries: [] };
  await log.save({ ...again, mustSync: true }).catch(() => tell('no save again'));
  process.kill(process.pid, 'SIGKILL');
}

if (process.argv[1] === import.meta.filename) {
  const [, , directory = '', kept = ''] = process.argv;
  await main(directory, Number(kept));
}
