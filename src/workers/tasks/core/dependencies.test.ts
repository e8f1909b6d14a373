import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Config, Secret, Task } from '../../../shared/wire/gen/objects.ts';
import { taskDigest } from './digest.ts';
import { DependencyStore } from './dependencies.ts';

const task = Task.create({
  id: 't1',
  spec: {
    runtime: {
      case: 'container',
      value: { secrets: [{ secretId: 's1' }, { secretId: 's2' }], configs: [{ configId: 'c1' }] },
    },
    resourceReferences: [{ resourceId: 's3' }],
  },
});

const secret = (id: string, text: string): Secret =>
  Secret.create({ id, spec: { data: Buffer.from(text) } });

test('[DEP1] [DEP2] a task sees what its container refers to, and nothing else', () => {
  const store = new DependencyStore();
  for (const id of ['s1', 's3']) store.putSecret(secret(id, id));
  const view = store.viewFor(task);
  assert.equal(Buffer.from(view.secret('s1').spec.data).toString(), 's1');
  assert.throws(() => view.secret('s2'), /^DependencyError: secret s2 not found$/);
  assert.throws(() => view.secret('s3'), /task not authorized to access secret s3/);
  assert.throws(() => view.config('c1'), /config c1 not found/);
  assert.throws(() => view.config('c2'), /task not authorized to access config c2/);
  store.putConfig(Config.create({ id: 'c1' }));
  assert.equal(view.config('c1').id, 'c1');
  store.dropConfig('c1');
  assert.throws(() => view.config('c1'), /not found/);
});

test('[DEP3] a secret made for this task stands in for the common one', () => {
  const store = new DependencyStore();
  store.putSecret(secret('s1', 'common'));
  store.putSecret(secret('s1.t1', 'own'));
  const found = store.viewFor(task).secret('s1');
  assert.deepEqual([found.id, Buffer.from(found.spec.data).toString()], ['s1', 'own']);
  store.dropSecret('s1.t1');
  assert.equal(Buffer.from(store.viewFor(task).secret('s1').spec.data).toString(), 'common');
});

test('[DEP4] nothing is left after a clear', () => {
  const store = new DependencyStore();
  store.putSecret(secret('s1', 'x'));
  store.clear();
  assert.throws(() => store.viewFor(task).secret('s1'), /not found/);
});

test('[TSK10] the digest sees every change but that of status and version', () => {
  const same = { ...task, status: { ...task.status, err: 'x' } };
  assert.equal(taskDigest(same), taskDigest(task));
  const newer = Task.create({ ...task, meta: { version: { index: 9 } } });
  assert.equal(taskDigest(newer), taskDigest(task));
  for (const change of [{ desiredState: 512 }, { slot: 2 }, { nodeId: 'n' }] as const) {
    assert.notEqual(taskDigest(Task.create({ ...task, ...change })), taskDigest(task));
  }
});
