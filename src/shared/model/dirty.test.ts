import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Node, Service, Task } from '../wire/gen/objects.ts';
import type { TaskSpec } from '../wire/gen/specs.ts';
import { NodeRole, TaskState } from '../wire/gen/types.ts';
import type { Init } from '../wire/runtime.ts';
import { dirtyTest, isDirty, type ComparedTask } from './dirty.ts';

const manager = Node.create({ role: NodeRole.MANAGER });
const onManagers = { constraints: ['node.role==manager'] };
const onWorkers = { constraints: ['node.role==worker'] };

const container = (value: object): Init<TaskSpec> => ({ runtime: { case: 'container', value } });
const image = container({ image: 'a' });
const auth = (registryAuth: string): Init<TaskSpec> =>
  container({ image: 'a', pullOptions: { registryAuth } });
const ports = (publishedPort: number) => ({ ports: [{ publishedPort }] });

type Case = {
  readonly task: Init<TaskSpec>;
  readonly service: Init<TaskSpec>;
  readonly endpoints?: readonly [task: object | undefined, service: object | undefined];
  readonly state?: TaskState;
  readonly desired?: TaskState;
  readonly versions?: readonly [task: number, service: number | undefined];
  readonly node?: Node | undefined;
};

function check(c: Case): boolean {
  const [taskEndpoint, serviceEndpoint] = c.endpoints ?? [undefined, undefined];
  const [taskVersion, serviceVersion] = c.versions ?? [1, 2];
  const stored = Task.create({
    spec: c.task,
    endpoint: taskEndpoint && { spec: taskEndpoint },
  });
  const row: ComparedTask = {
    specVersion: taskVersion,
    state: c.state ?? TaskState.RUNNING,
    desiredState: c.desired ?? TaskState.RUNNING,
    shared: () => stored,
    toTask: () => stored,
  };
  const service = Service.create({
    spec: { task: c.service, endpoint: serviceEndpoint },
    specVersion: serviceVersion === undefined ? undefined : { index: serviceVersion },
  });
  return isDirty(service, row, 'node' in c ? c.node : manager);
}

test('a task is dirty when what its service asks for has changed', () => {
  const rows: readonly (readonly [what: string, dirty: boolean, c: Case])[] = [
    ['same spec', false, { task: image, service: image }],
    ['another image', true, { task: image, service: container({ image: 'b' }) }],
    ['same version', false, { task: image, service: {}, versions: [3, 3] }],
    ['no versions', true, { task: image, service: {}, versions: [-1, undefined] }],
    ['force update', true, { task: image, service: { ...image, forceUpdate: 1 } }],
    ['fitting constraint', false, { task: image, service: { ...image, placement: onManagers } }],
    ['unfitting one', true, { task: image, service: { ...image, placement: onWorkers } }],
    ['bad one', true, { task: image, service: { ...image, placement: { constraints: ['?'] } } }],
    [
      'fitting, no node',
      true,
      { task: image, service: { ...image, placement: {} }, node: undefined },
    ],
    ['fitting, and an image', true, { task: {}, service: { ...image, placement: onManagers } }],
    [
      'unfitting but unchanged',
      false,
      {
        task: { ...image, placement: onWorkers },
        service: { ...image, placement: onWorkers },
      },
    ],
    ['pull options while running', false, { task: auth('x'), service: auth('y') }],
    ['pull options gone', false, { task: auth('x'), service: image }],
    [
      'pull options before ready',
      true,
      {
        task: auth('x'),
        service: auth('y'),
        state: TaskState.PREPARING,
      },
    ],
    [
      'pull options of a failed task',
      true,
      {
        task: auth('x'),
        service: auth('y'),
        state: TaskState.FAILED,
      },
    ],
    [
      'pull options when stopping',
      true,
      {
        task: auth('x'),
        service: auth('y'),
        desired: TaskState.SHUTDOWN,
      },
    ],
    ['endpoint', true, { task: image, service: image, endpoints: [ports(1), ports(2)] }],
    ['same endpoint', false, { task: image, service: image, endpoints: [ports(1), ports(1)] }],
    [
      'task without endpoint',
      false,
      { task: image, service: image, endpoints: [undefined, ports(1)] },
    ],
    [
      'constraint and endpoint',
      true,
      {
        task: image,
        service: { ...image, placement: onManagers },
        endpoints: [ports(1), ports(2)],
      },
    ],
  ];
  for (const [what, dirty, c] of rows) assert.equal(check(c), dirty, what);
});

const row = (from: Task, own: Partial<ComparedTask> = {}): ComparedTask => ({
  specVersion: 1,
  state: TaskState.RUNNING,
  desiredState: TaskState.RUNNING,
  shared: () => from,
  toTask: () => from,
  ...own,
});

test('what tasks share is compared once, what is their own for each', () => {
  let reads = 0;
  const { spec, specVersion } = Service.create({
    spec: { task: { ...image, placement: onManagers }, endpoint: ports(1) },
    specVersion: { index: 2 },
  });
  const watched = {
    specVersion,
    spec: {
      ...spec,
      get task() {
        reads += 1;
        return spec.task;
      },
    },
  };
  const isOld = dirtyTest(watched);
  const old = Task.create({ spec: auth('x') });
  const other = Task.create({ spec: container({ image: 'b' }) });
  for (let round = 0; round < 2; round += 1) {
    assert.equal(isOld(row(old), manager), false, 'its image is there');
    assert.equal(isOld(row(old), undefined), true, 'no node fits');
    assert.equal(
      isOld(row(old, { state: TaskState.ASSIGNED }), manager),
      true,
      'still to be pulled',
    );
    const endpoint = Task.create({ endpoint: { spec: ports(2) } });
    assert.equal(isOld(row(old, { toTask: () => endpoint }), manager), true, 'another endpoint');
    assert.equal(isOld(row(other), manager), true, 'another image');
    assert.equal(isOld(row(other, { specVersion: 2 }), manager), false, 'the same version');
  }
  assert.ok(reads <= 3, `the spec was read ${reads} times for two specs of tasks`);
});
