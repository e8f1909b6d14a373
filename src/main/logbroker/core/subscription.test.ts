import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogSelector } from '../../../shared/wire/gen/logbroker.ts';
import { TaskState } from '../../../shared/wire/gen/types.ts';
import { Subscription, type LogTask } from './subscription.ts';

const task = (id: string, nodeId: string, state: TaskState = TaskState.RUNNING): LogTask => ({
  id,
  serviceId: 'web',
  nodeId,
  state,
});
const select = (init: Parameters<typeof LogSelector.create>[0]): LogSelector =>
  LogSelector.create(init);

test('[LOGB1] a service is read from each node that ran a task of it, once', () => {
  const subscription = new Subscription(select({ serviceIds: ['web'] }), false);
  assert.equal(subscription.consider(task('a', 'n1')), 'n1');
  assert.equal(subscription.consider(task('b', 'n1')), undefined);
  assert.equal(subscription.consider(task('c', 'n2', TaskState.ASSIGNED)), undefined);
  assert.equal(subscription.consider({ ...task('d', 'n3'), serviceId: 'db' }), undefined);
  assert.equal(subscription.complete, false);
  subscription.finish('n1');
  assert.equal(subscription.complete, true);
  assert.equal(subscription.warning, undefined);
});

test('[LOGB2] what could not be read is named at the end', () => {
  const subscription = new Subscription(select({ serviceIds: ['web'], taskIds: ['x'] }), false);
  subscription.consider(task('a', 'n1'));
  subscription.consider(task('b', 'n2'));
  subscription.consider(task('x', '', TaskState.PENDING));
  subscription.miss('n1', 'is not available');
  subscription.finish('n2');
  subscription.miss('n2', 'disconnected unexpectedly');
  assert.equal(subscription.complete, true);
  assert.equal(
    subscription.warning,
    'warning: incomplete log stream. some logs could not be retrieved for the following reasons: task x has not been scheduled, node n1 is not available',
  );
});

test('[LOGB3] following never ends by itself and takes in tasks that come later', () => {
  const subscription = new Subscription(select({ serviceIds: ['web'] }), true);
  assert.equal(subscription.consider(task('a', 'n1', TaskState.ASSIGNED)), 'n1');
  subscription.finish('n1');
  subscription.miss('n1', 'disconnected unexpectedly');
  assert.equal(subscription.complete, false);
  assert.equal(subscription.consider(task('b', 'n2')), 'n2');
  assert.equal(subscription.warning, undefined);
});

test('[LOGB4] a node selector waits for its nodes', () => {
  const subscription = new Subscription(select({ nodeIds: ['n1'] }), false);
  assert.equal(subscription.ask('n1'), 'n1');
  assert.equal(subscription.complete, false);
  assert.equal(subscription.consider(task('a', 'n1')), undefined);
  subscription.finish('n1');
  assert.equal(subscription.complete, true);
});
