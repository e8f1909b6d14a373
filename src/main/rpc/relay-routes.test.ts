/** The table of places: each service on each entrance, and which calls may be sent twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SERVICES } from '../../shared/wire/gen/services.ts';
import { type Entrance, isRepeatable, needsOf, type Place, placeOf } from './relay-routes.ts';

const ENTRANCES: readonly Entrance[] = ['tcp', 'socket'];

/** Calls by where they are answered, all of a service as the service alone. */
function answered(entrance: Entrance, at: Place['at'], confirmed: Place['confirmed']): string[] {
  const found = Object.entries(SERVICES).flatMap(([service, methods]) => {
    const rows = Object.entries(methods);
    const fitting = rows.filter(([, row]) => {
      const place = placeOf(row, entrance);
      return place.at === at && place.confirmed === confirmed;
    });
    if (fitting.length === rows.length) return [service];
    return fitting.map(([name]) => `${service}.${name}`);
  });
  return found.toSorted();
}

test('a follower answers raft, health, operations and watches itself', () => {
  assert.deepEqual(answered('tcp', 'here', 'nothing'), [
    'Health',
    'Operations',
    'Raft',
    'Replication',
    'Watch',
  ]);
  assert.deepEqual(answered('socket', 'here', 'nothing'), [
    'Health',
    'Operations',
    'Raft',
    'RaftMembership',
    'Replication',
    'Watch',
  ]);
  assert.deepEqual(placeOf({ path: '/elsewhere/Do' }, 'tcp'), { at: 'here', confirmed: 'nothing' });
});

test('what the store alone tells is read wherever it is asked; of nodes the leader knows best', () => {
  for (const entrance of ENTRANCES) {
    const reads = answered(entrance, 'here', 'reads');
    assert.deepEqual(
      reads.filter((name) => name.startsWith('CA')),
      ['CA'],
    );
    for (const kind of ['Service', 'Task', 'Network', 'Cluster', 'Secret', 'Config', 'Volume']) {
      assert.ok(reads.includes(`Control.Get${kind}`), kind);
      assert.ok(reads.includes(`Control.List${kind}s`), kind);
    }
    assert.ok(reads.includes('Control.ListServiceStatuses'));
    const nodes = answered(entrance, 'leader', 'reads');
    assert.deepEqual(nodes, ['Control.GetNode', 'Control.ListNodes']);
  }
});

test('everything that writes, and what only a leader runs, goes to the leader', () => {
  for (const entrance of ENTRANCES) {
    const calls = answered(entrance, 'leader', 'nothing');
    for (const service of ['NodeCA', 'Dispatcher', 'LogBroker', 'ResourceAllocator', 'Logs']) {
      assert.ok(calls.includes(service), service);
    }
    assert.equal(calls.includes('RaftMembership'), entrance === 'tcp');
    const control = answered(entrance, 'leader', 'writes');
    assert.ok(control.length > 20, 'the calls were not found');
    assert.deepEqual(
      control.filter((name) => !/\.(?:Create|Update|Remove)[A-Z]/.test(name)),
      [],
    );
  }
});

test('reads and reports may be sent twice, writes may not', () => {
  const rows = [
    [SERVICES.Control.GetNode, true],
    [SERVICES.Control.ListServiceStatuses, true],
    [SERVICES.CA.GetRootCACertificate, true],
    [SERVICES.Dispatcher.Heartbeat, true],
    [SERVICES.Dispatcher.UpdateTaskStatus, true],
    [SERVICES.NodeCA.NodeCertificateStatus, true],
    [SERVICES.NodeCA.IssueNodeCertificate, false],
    [SERVICES.Control.CreateService, false],
    [SERVICES.Control.UpdateService, false],
    [SERVICES.Control.RemoveService, false],
    [SERVICES.RaftMembership.Join, false],
    [SERVICES.ResourceAllocator.AttachNetwork, false],
  ] as const;
  for (const [method, repeatable] of rows) {
    assert.equal(isRepeatable(method), repeatable, method.path);
  }
});

test('[MGR5] clients need the store of a leader, and nodes all that it runs', () => {
  const rows = Object.entries(SERVICES).flatMap(([service, methods]) =>
    Object.entries(methods).map(([name, row]) => ({ name: `${service}.${name}`, row })),
  );
  const store = rows.filter(({ row }) => needsOf(row) === 'store').map(({ name }) => name);
  assert.ok(store.includes('Control.CreateService'));
  assert.ok(store.every((name) => name.startsWith('Control.')));
  assert.ok(!store.includes('Control.ListNodes') && !store.includes('Control.GetNode'));
});
