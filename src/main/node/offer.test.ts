import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GenericResource, NodeDescription } from '../../shared/wire/gen/types.ts';
import { described } from './offer.ts';

const machine = NodeDescription.create({
  hostname: 'h',
  resources: { nanoCpus: 4e9, memoryBytes: 1000 },
  engine: { engineVersion: '1', labels: { a: 'machine', b: 'machine' } },
});
const gpu = GenericResource.create({
  resource: { case: 'discreteResourceSpec', value: { kind: 'gpu', value: 2 } },
});

test('an empty offer changes nothing', () => {
  assert.deepEqual(described(machine, { labels: {}, generic: [] }), machine);
});

test('the operator says what a node has, and how it is labelled', () => {
  const offered = described(machine, { labels: { b: 'operator' }, generic: [gpu], nanoCpus: 1e9 });
  assert.deepEqual(offered.resources, { nanoCpus: 1e9, memoryBytes: 1000, generic: [gpu] });
  assert.deepEqual(offered.engine?.labels, { a: 'machine', b: 'operator' });
  assert.equal(offered.hostname, 'h');
});

test('a node that has no engine gets the offer all the same', () => {
  const offered = described(NodeDescription.create(), { labels: { a: 'x' }, generic: [gpu] });
  assert.deepEqual(offered.engine?.labels, { a: 'x' });
  assert.deepEqual(offered.resources?.generic, [gpu]);
});
