import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Task } from '../../shared/wire/gen/objects.ts';
import { open, secret } from './testing/store-kit.ts';

test('two changes of one turn have two versions: who read the first cannot undo the second', async () => {
  const { store } = open();
  await store.update((tx) => tx.secrets.create(secret('s')));
  const touch = () =>
    store.update((tx) => {
      const stored = tx.secrets.get('s') ?? assert.fail('no secret');
      tx.secrets.update(stored);
      return tx.secrets.get('s') ?? assert.fail('no secret');
    });
  const [first, second] = await Promise.all([touch(), touch()]);
  assert.ok(first.meta.version.index < second.meta.version.index);
  await assert.rejects(
    store.update((tx) => tx.secrets.update(first)),
    /update out of sequence/,
  );
  await store.update((tx) => tx.secrets.update(second));
  const last = store.view((view) => view.secrets.get('s'));
  assert.ok((last?.meta.version.index ?? 0) > second.meta.version.index);
});

test('tasks too: a patch in the same turn is not undone by who read the task before it', async () => {
  const { store } = open();
  await store.update((tx) => tx.tasks.create(Task.create({ id: 't' })));
  const patch = (message: string): Promise<Task> =>
    store.update((tx) => {
      tx.tasks.patch('t', { message });
      return tx.tasks.get('t')?.toTask() ?? assert.fail('no task');
    });
  const [first, second] = await Promise.all([patch('a'), patch('b')]);
  await assert.rejects(
    store.update((tx) => tx.tasks.update(first)),
    /update out of sequence/,
  );
  await store.update((tx) => tx.tasks.update(second));
});
