import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../shared/kit/random.ts';
import { Task } from '../../shared/wire/gen/objects.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import { manual, turn } from './testing/store-kit.ts';

const TASKS = 60;

test('[STO20] whoever goes through a service in pieces meets every task that stays', async () => {
  for (let seed = 0n; seed < 40n; seed += 1n) {
    const random = new Random(seed);
    const { store, log } = manual();
    const write = (fn: Parameters<typeof store.update>[0]): void => void store.update(fn);
    const settle = async (): Promise<void> => {
      await turn();
      log.commitAll();
    };
    const create = (id: string): void =>
      write((tx) => tx.tasks.create(Task.create({ id, serviceId: 'service' })));
    for (let n = 0; n < TASKS; n += 1) create(`t${n}`);
    await settle();
    // What is written at random is committed at random times between the pieces.
    const writeSome = async (): Promise<void> => {
      const id = `t${random.below(TASKS)}`;
      const isThere = store.head(({ tasks }) => tasks.get(id)) !== undefined;
      if (isThere && random.below(3) > 0) {
        write((tx) => tx.tasks.patch(id, { state: TaskState.PENDING, message: `${seed}` }));
      } else if (isThere) write((tx) => tx.tasks.remove(id));
      else create(`${id} again ${random.below(1000)}`);
      await turn();
      if (random.below(2) === 0) log.commitAll();
    };
    for (let n = 0; n < 5; n += 1) await writeSome();
    const idsNow = (): Set<string> =>
      store.head(({ tasks }) => new Set(tasks.byService('service').map(({ id }) => id)));
    let stayed = idsNow();
    const met = new Set<string>();
    for (let from: string | undefined; ;) {
      const next = store.head(({ tasks }) => {
        const piece = tasks.pieceOfService('service', from, 7);
        for (const { id } of piece.rows) met.add(id);
        return piece.next;
      });
      if (next === undefined) break;
      from = next;
      await writeSome();
      stayed = stayed.intersection(idsNow());
    }
    for (const id of stayed) assert.ok(met.has(id), `seed ${seed}: ${id} was not met`);
    await settle();
  }
});
