/** What placement is told of stored nodes and tasks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Init } from '../../shared/wire/runtime.ts';
import { Node, Task } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import {
  MountType,
  NodeStatusState,
  PortConfigProtocol,
  PortConfigPublishMode,
  type GenericResource,
  type Mount,
} from '../../shared/wire/gen/types.ts';
import {
  claimsOf,
  genericResources,
  isAvailable,
  nodeFacts,
  profileOf,
} from './placement-facts.ts';

const named = (kind: string, value: string): GenericResource => ({
  resource: { case: 'namedResourceSpec', value: { kind, value } },
});
const discrete = (kind: string, value: number): GenericResource => ({
  resource: { case: 'discreteResourceSpec', value: { kind, value } },
});

const volume = (name: string): Init<Mount> => ({
  type: MountType.VOLUME,
  volumeOptions: { driverConfig: { name } },
});

test('a node takes new tasks only while READY and ACTIVE', () => {
  for (const state of Object.values(NodeStatusState)) {
    for (const availability of Object.values(NodeSpecAvailability)) {
      const node = Node.create({ id: 'n', status: { state }, spec: { availability } });
      const want = state === NodeStatusState.READY && availability === NodeSpecAvailability.ACTIVE;
      assert.equal(isAvailable(node), want);
      assert.equal(nodeFacts(node).available, want);
    }
  }
});

test('a bare node offers nothing and says nothing of plugins or platform', () => {
  const facts = nodeFacts(Node.create({ id: 'n' }));
  assert.deepEqual(
    { ...facts, subject: facts.subject.id },
    {
      subject: 'n',
      available: false,
      hasPlatform: false,
      nanoCpus: 0,
      memoryBytes: 0,
      generic: [],
      plugins: undefined,
    },
  );
});

test('a described node is told with its resources, platform and plugins', () => {
  const generic = [named('gpu', 'a'), discrete('ssd', 2), named('gpu', 'b')];
  const facts = nodeFacts(
    Node.create({
      id: 'n',
      description: {
        platform: { os: 'linux', architecture: 'amd64' },
        resources: { nanoCpus: 2e9, memoryBytes: 5, generic },
        engine: { plugins: [{ type: 'Log', name: 'gelf' }] },
      },
    }),
  );
  assert.equal(facts.hasPlatform, true);
  assert.equal(facts.subject.os, 'linux');
  assert.deepEqual([facts.nanoCpus, facts.memoryBytes], [2e9, 5]);
  assert.deepEqual(facts.generic, [
    { kind: 'gpu', names: ['a', 'b'], count: 0 },
    { kind: 'ssd', names: [], count: 2 },
  ]);
  assert.deepEqual(facts.plugins, [{ type: 'Log', name: 'gelf' }]);
});

test('claims go to the wire and back', () => {
  const resources = [named('gpu', 'a'), named('gpu', 'b'), discrete('ssd', 2)];
  assert.deepEqual(genericResources(claimsOf(resources)), resources);
  assert.deepEqual(genericResources([]), []);
});

test('a bare task asks for nothing', () => {
  assert.deepEqual(profileOf(Task.create({ id: 't' })), {
    constraints: [],
    platforms: [],
    nanoCpus: 0,
    memoryBytes: 0,
    generic: [],
    spread: [],
    replicasMax: 0,
    hostPorts: [],
    plugins: [],
    runtime: '',
  });
});

test('a task asks for what its spec, endpoint, networks and service label say', () => {
  const task = Task.create({
    id: 't',
    serviceAnnotations: { labels: { 'com.skein.runtime': 'process' } },
    spec: {
      runtime: {
        case: 'container',
        value: { mounts: [volume('nfs'), volume('local'), { type: MountType.BIND }] },
      },
      resources: {
        limits: { nanoCpus: 9 },
        reservations: { nanoCpus: 1, memoryBytes: 2, generic: [discrete('gpu', 3)] },
      },
      placement: {
        constraints: ['node.id==x'],
        preferences: [
          { preference: { case: 'spread', value: { spreadDescriptor: 'node.labels.a' } } },
          {},
        ],
        platforms: [{ os: 'linux' }],
        maxReplicas: 4,
      },
      logDriver: { name: 'gelf' },
    },
    networks: [{ network: { driverState: { name: 'overlay' } } }, {}],
    endpoint: {
      ports: [
        { publishedPort: 80, publishMode: PortConfigPublishMode.HOST },
        {
          publishedPort: 53,
          publishMode: PortConfigPublishMode.HOST,
          protocol: PortConfigProtocol.UDP,
        },
        { publishedPort: 0, publishMode: PortConfigPublishMode.HOST },
        { publishedPort: 443, publishMode: PortConfigPublishMode.INGRESS },
      ],
    },
  });
  assert.deepEqual(profileOf(task), {
    constraints: ['node.id==x'],
    platforms: [{ os: 'linux', architecture: '' }],
    nanoCpus: 1,
    memoryBytes: 2,
    generic: [{ kind: 'gpu', count: 3 }],
    spread: ['node.labels.a'],
    replicasMax: 4,
    hostPorts: [80, 65_589],
    plugins: [
      { type: 'Volume', name: 'nfs' },
      { type: 'Network', name: 'overlay' },
      { type: 'Log', name: 'gelf' },
    ],
    runtime: 'process',
  });
});

test('the log drivers that need no plugin ask for none', () => {
  for (const name of ['', 'none']) {
    assert.deepEqual(profileOf(Task.create({ spec: { logDriver: { name } } })).plugins, []);
  }
});
