import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Task } from '../wire/gen/objects.ts';
import { TaskSpec } from '../wire/gen/specs.ts';
import { runtimeName, taskName } from './names.ts';

const name = (runtime: TaskSpec['runtime']): string => runtimeName(TaskSpec.create({ runtime }));

test('a task is named after its slot, its node, or by itself', () => {
  const base = { id: 't1', nodeId: 'n1', serviceAnnotations: { name: 'web' } } as const;
  assert.equal(taskName(Task.create({ ...base, slot: 2 })), 'web.2.t1');
  assert.equal(taskName(Task.create(base)), 'web.n1.t1');
  assert.equal(taskName(Task.create({ ...base, annotations: { name: 'own' } })), 'own');
});

test('runtimes have names', () => {
  assert.equal(runtimeName(TaskSpec.create()), '');
  assert.equal(name({ case: 'attachment', value: { containerId: '' } }), 'attachment');
  assert.equal(name({ case: 'generic', value: { kind: 'PLUGIN', payload: undefined } }), 'plugin');
  assert.equal(
    runtimeName(TaskSpec.create({ runtime: { case: 'container', value: {} } })),
    'container',
  );
});
