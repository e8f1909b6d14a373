/** The table of places: each service on each entrance, and which calls may be sent twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SERVICES } from '../../shared/wire/gen/services.ts';
import { type Entrance, goesToLeader, isRepeatable } from './relay-routes.ts';

/** The services that a follower answers itself. */
const here = (entrance: Entrance): readonly string[] =>
  Object.entries(SERVICES)
    .filter(([, methods]) => Object.values(methods).every((row) => !goesToLeader(row, entrance)))
    .map(([service]) => service)
    .toSorted();

test('a follower answers raft, health and watches itself; the rest goes to the leader', () => {
  assert.deepEqual(here('tcp'), ['Health', 'Raft', 'Watch']);
  assert.deepEqual(here('socket'), ['Health', 'Raft', 'RaftMembership', 'Watch']);
  assert.equal(goesToLeader({ path: '/elsewhere/Do' }, 'tcp'), false);
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
