import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry } from '../../src/shared/wire/gen/raftpb.ts';
import type { DurableLog } from '../../src/main/raft/log/durable-log.ts';
import { durableLogContract } from '../../src/main/raft/log/durable-log-contract.ts';
import { SimulatedDisk } from './disk.ts';
import { World } from './world.ts';

/** The contract waits for real promises, so its disk syncs at once. */
class InstantWorld extends World {
  override after(_delayMs: number, run: () => void): { cancel: () => void } {
    run();
    return { cancel: () => undefined };
  }
}

durableLogContract('simulated', async () => {
  let disk = new SimulatedDisk(new InstantWorld(1n));
  return {
    open: async (): Promise<DurableLog> => disk.open(),
    clear: async () => {
      disk = new SimulatedDisk(new InstantWorld(1n));
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
});

const entry = (index: number): Entry => Entry.create({ index, term: 1 });
const save = (log: DurableLog, index: number): Promise<void> =>
  log.save({ hardState: null, snapshot: null, entries: [entry(index)], mustSync: true });

test('what was acknowledged survives every crash, what was not survives some', async () => {
  const lengths = new Set<number>();
  for (let seed = 0n; seed < 40n; seed += 1n) {
    const world = new World(seed);
    const disk = new SimulatedDisk(world);
    const log = disk.open();
    const first = save(log, 1);
    await world.run(10, () => undefined);
    await first;
    void save(log, 2);
    disk.crash();
    const again = disk.open();
    assert.ok(again.lastIndex() >= 1);
    lengths.add(again.lastIndex());
  }
  assert.deepEqual(
    [...lengths].toSorted((a, b) => a - b),
    [1, 2],
  );
});

test('a full disk refuses, and goes on where it was when there is room', async () => {
  const world = new World(1n);
  const disk = new SimulatedDisk(world);
  disk.full = true;
  const refused = assert.rejects(save(disk.open(), 1), /no space left/);
  await world.run(10, () => undefined);
  await refused;
  disk.full = false;
  const log = disk.open();
  assert.equal(log.lastIndex(), 0);
  const saved = save(log, 1);
  await world.run(20, () => undefined);
  await saved;
  assert.equal(disk.open().lastIndex(), 1);
});
