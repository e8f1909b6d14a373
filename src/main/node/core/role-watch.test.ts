import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeRole } from '../../../shared/wire/gen/types.ts';
import { RoleWatch } from './role-watch.ts';

const { MANAGER, WORKER } = NodeRole;

test('[NODE9] another role is asked for when it is wanted, and again when it is given', () => {
  const watch = new RoleWatch();
  assert.equal(watch.hear({ desired: WORKER, observed: WORKER }, WORKER), undefined);
  assert.equal(watch.hear({ desired: MANAGER, observed: WORKER }, WORKER), MANAGER);
  assert.equal(watch.hear({ desired: MANAGER, observed: WORKER }, WORKER), undefined, 'once');
  assert.equal(watch.hear({ desired: MANAGER, observed: MANAGER }, WORKER), MANAGER);
  assert.equal(watch.hear({ desired: MANAGER, observed: MANAGER }, MANAGER), undefined);
  assert.equal(watch.hear({ desired: WORKER, observed: MANAGER }, MANAGER), WORKER);
});

test('[NODE9] a node that was away asks at the first message', () => {
  assert.equal(new RoleWatch().hear({ desired: WORKER, observed: WORKER }, MANAGER), WORKER);
});

test('[NODE9] a wish that is taken back is asked for no longer', () => {
  const watch = new RoleWatch();
  assert.equal(watch.hear({ desired: MANAGER, observed: WORKER }, WORKER), MANAGER);
  assert.equal(watch.hear({ desired: WORKER, observed: WORKER }, WORKER), WORKER);
  assert.equal(watch.hear({ desired: WORKER, observed: MANAGER }, WORKER), undefined);
});
