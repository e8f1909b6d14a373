import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Task } from '../../../shared/wire/gen/objects.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { SharedParts } from './shared-parts.ts';

const spec = Task.create({
  spec: {
    runtime: {
      case: 'container',
      value: { secrets: [{ secretId: 's' }], configs: [{ configId: 'c' }] },
    },
    networks: [{ target: 'n' }, { target: 'n' }],
  },
}).spec;
const { serviceAnnotations: noAnnotations } = Task.create();
/** Whatever `init` leaves out is the same object for all. */
const taskOf = (init: Init<Task>): Task => {
  const task = Task.create(init);
  const serviceAnnotations = 'serviceAnnotations' in init ? task.serviceAnnotations : noAnnotations;
  return { ...task, spec, serviceAnnotations };
};
const newParts = (): SharedParts => new SharedParts((shared) => shared);

test('what differs in any of its fields is another part, though the spec is one object', () => {
  const parts = newParts();
  const tasks = [
    taskOf({}),
    taskOf({ logDriver: { name: 'local' } }),
    taskOf({ specVersion: { index: 0 } }),
    taskOf({ serviceAnnotations: { name: 'a' } }),
    taskOf({ specVersion: { index: 3 } }),
  ];
  const numbers = tasks.map((task) => parts.addShared(task));
  assert.equal(new Set(numbers).size, tasks.length);
  for (const [n, task] of tasks.entries()) {
    const { shared, bytes } = parts.get(numbers[n]!);
    const { serviceAnnotations, logDriver, specVersion } = task;
    assert.deepEqual(shared, { spec, serviceAnnotations, logDriver, specVersion });
    assert.equal(parts.addShared(shared), numbers[n]);
    assert.equal(parts.addBytes(bytes), numbers[n]);
    assert.equal(parts.addBytes(bytes, numbers[n]), numbers[n]);
    assert.equal(parts.addBytes(bytes, numbers[0]), numbers[n]);
  }
  for (const number of numbers) for (let n = 0; n < 5; n += 1) parts.release(number);
  assert.equal(parts.size, 0);
});

test('parts are found by what their spec names, as long as they are held', () => {
  const parts = newParts();
  const one = parts.addShared(taskOf({}));
  const other = parts.addShared(taskOf({ specVersion: { index: 1 } }));
  const found = (kind: 'network' | 'secret' | 'config', id: string): Set<number> =>
    new Set(parts.byReference(kind, id));
  assert.deepEqual(found('network', 'n'), new Set([one, other]));
  assert.deepEqual(found('secret', 's'), new Set([one, other]));
  assert.deepEqual(found('config', 'c'), new Set([one, other]));
  assert.deepEqual(found('config', 's'), new Set());
  parts.release(one);
  assert.deepEqual(found('network', 'n'), new Set([other]));
  parts.release(other);
  assert.deepEqual(found('network', 'n'), new Set());
  assert.throws(() => parts.release(other));
});

test('a part that went is not taken for the one that took its number', () => {
  const parts = newParts();
  const first = taskOf({ logDriver: { name: 'a' } });
  const number = parts.addShared(first);
  parts.release(number);
  const second = Task.create({ spec: { forceUpdate: 9 } });
  assert.equal(parts.addShared(second), number);
  const again = parts.addShared(first);
  assert.notEqual(again, number);
  assert.equal(parts.get(again).shared.logDriver?.name, 'a');
});
