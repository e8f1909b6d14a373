/** Which pool a profile gets, and what a narrow one saves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileProfile } from './compiled-profile.ts';
import { NodeTable } from './node-table.ts';
import { Pools } from './pools.ts';
import { nodeFacts, profile } from './testing/fixtures.ts';

function table(nodes: number, nanoCpus: (node: number) => number): NodeTable {
  const made = new NodeTable();
  for (let node = 0; node < nodes; node++) {
    made.setFacts(node, nodeFacts({ nanoCpus: nanoCpus(node) }));
  }
  return made;
}

test('[PL51] profiles that differ only in what they take share a pool', () => {
  const pools = new Pools(table(3, () => 1e9));
  const small = compileProfile(profile({ nanoCpus: 1 }));
  const large = compileProfile(profile({ nanoCpus: 2, hostPorts: [80] }));
  const other = compileProfile(profile({ runtime: 'docker' }));
  assert.equal(pools.get(small), pools.get(large));
  assert.notEqual(pools.get(small), pools.get(other));
});

test('[PL52] after many wasted steps a profile gets a pool without the full nodes', () => {
  const nodes = table(4, (node) => (node === 3 ? 1e9 : 100));
  const pools = new Pools(nodes);
  const asking = compileProfile(profile({ nanoCpus: 200 }));
  const shared = pools.get(asking);
  assert.deepEqual(
    [0, 1, 2, 3].map((node) => shared.isEligible(node)),
    [true, true, true, true],
  );
  asking.wasted = 5;
  const narrow = pools.get(asking);
  assert.notEqual(narrow, shared);
  assert.deepEqual(
    [0, 1, 2, 3].map((node) => narrow.isEligible(node)),
    [false, false, false, true],
  );
  nodes.setFacts(1, nodeFacts({ nanoCpus: 200 }));
  assert.equal(pools.get(asking), narrow);
  assert.equal(narrow.isEligible(1), true);
});

test('[PL52] pools that are not used are given up when there are too many', () => {
  const nodes = new NodeTable();
  nodes.ensure(2_000_000);
  const pools = new Pools(nodes);
  const first = compileProfile(profile({ runtime: 'first' }));
  const before = pools.get(first);
  for (let other = 0; other < 15; other++)
    pools.get(compileProfile(profile({ runtime: `${other}` })));
  assert.equal(pools.get(first), before);
  for (let other = 15; other < 40; other++)
    pools.get(compileProfile(profile({ runtime: `${other}` })));
  assert.notEqual(pools.get(first), before);
});
