/** Random writes of few ids, names and states, so that they meet: for tests. */
/* oxlint-disable typescript/no-unsafe-type-assertion -- generic over kinds, as the twin is */
import fc from 'fast-check';
import { Node, Secret, Service, Task } from '../../../shared/wire/gen/objects.ts';
import { TaskState } from '../../../shared/wire/gen/types.ts';
import type { Stored } from '../schema.ts';
import type { TaskPatch } from '../transaction.ts';
import type { Action } from '../writes.ts';

export const KINDS = ['node', 'service', 'secret', 'task'] as const;
export type SomeKind = (typeof KINDS)[number];
export const NAMES = ['web', 'WEB', 'db', 'D', 'x'] as const;
/** One of them a value that nobody knows. */
export const STATES = [
  TaskState.NEW,
  TaskState.PENDING,
  TaskState.ASSIGNED,
  TaskState.RUNNING,
  77 as TaskState,
] as const;

/** One write; numbers choose among a few ids, names, nodes and the like. */
export type Op = {
  readonly kind: SomeKind;
  readonly action: Action | 'patch' | 'many';
  readonly id: number;
  readonly a: number;
  readonly b: number;
  readonly stale: boolean;
};
const opArbitrary: fc.Arbitrary<Op> = fc.record({
  kind: fc.constantFrom('task', 'task', 'task', ...KINDS),
  action: fc.constantFrom('create', 'create', 'update', 'patch', 'patch', 'remove', 'many'),
  id: fc.nat(7),
  a: fc.nat(11),
  b: fc.nat(11),
  stale: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});
export const ops = fc.array(opArbitrary, { minLength: 1, maxLength: 6 });
export const idOf = (kind: SomeKind, n: number): string =>
  `${n % 3 === 0 ? 'aa' : 'ab'}${kind}${n}`;
export const nodeOf = (n: number): string => (n % 4 === 0 ? '' : `node${n % 4}`);
const nameOf = (n: number): string => NAMES[n % NAMES.length] ?? '';
const indicesOf = (n: number) => (n % 2 === 0 ? [{ key: 'k', val: String(n % 4) }] : []);

export function taskOf({ id, a, b }: Pick<Op, 'id' | 'a' | 'b'>): Task {
  return Task.create({
    id: idOf('task', id),
    serviceId: a % 3 === 0 ? '' : `service${a % 3}`,
    slot: b % 3,
    nodeId: nodeOf(b),
    desiredState: STATES[a % STATES.length]!,
    annotations: { name: `t.${id}`, labels: a % 2 === 0 ? { x: 'y' } : {} },
    serviceAnnotations: { name: `svc${a % 2}` },
    specVersion: b % 2 === 0 ? undefined : { index: b },
    logDriver: a % 5 === 0 ? { name: 'local' } : undefined,
    jobIteration: a % 4 === 0 ? { index: a } : undefined,
    spec: {
      runtime: {
        case: 'container',
        value: { image: `image${a % 2}`, secrets: a % 3 === 0 ? [{ secretId: 'sec' }] : [] },
      },
      networks: b % 4 === 0 ? [{ target: 'net' }, { target: 'net' }] : [],
    },
    status: statusOf(a, b),
    networks: a % 6 === 0 ? [{ addresses: ['10.0.0.1/24'] }] : [],
    endpoint: b % 6 === 0 ? { virtualIps: [{ networkId: 'n', addr: '1' }] } : undefined,
    volumes: b % 5 === 0 ? [{ id: 'v' }] : [],
  });
}

function statusOf(a: number, b: number) {
  return {
    state: STATES[b % STATES.length]!,
    message: a % 2 === 0 ? 'started' : '',
    err: b % 3 === 0 ? 'boom ö' : '',
    timestamp: a % 2 === 0 ? { seconds: a, nanos: b * 1_000_000 } : undefined,
    runtimeStatus:
      b % 2 === 0
        ? ({ case: 'container', value: { containerId: `c${a}`, pid: b } } as const)
        : undefined,
    portStatus: a % 4 === 1 ? { ports: [{ targetPort: 80 }] } : undefined,
    appliedBy: a % 3 === 0 ? 'manager' : '',
    appliedAt: b % 3 === 1 ? { seconds: 5, nanos: 0 } : undefined,
  };
}

export function objectOf(op: Op): Stored {
  const { kind, a, b } = op;
  const id = idOf(kind, op.id);
  const annotations = { name: nameOf(a), indices: indicesOf(b) };
  switch (kind) {
    case 'task':
      return taskOf(op);
    case 'node':
      return Node.create({
        id,
        spec: { annotations, membership: a % 2 === 0 ? 1 : 0 },
        description: b % 3 === 0 ? undefined : { hostname: nameOf(b) },
        role: b % 2 === 0 ? 1 : 0,
      });
    case 'service': {
      const secrets = b % 2 === 0 ? [{ secretId: 'sec' }, { secretId: 'sec' }] : [];
      const runtime = { case: 'container', value: { secrets } } as const;
      const networks = a % 3 === 0 ? [{ target: 'net' }] : [];
      return Service.create({ id, spec: { annotations, task: { runtime }, networks } });
    }
    case 'secret':
      break;
  }
  return Secret.create({ id, spec: { annotations } });
}

export function patchOf({ a, b }: Op): TaskPatch {
  const status = Task.create({ status: statusOf(b, a) }).status;
  const all: TaskPatch[] = [
    { nodeId: nodeOf(a), state: TaskState.ASSIGNED, message: 'assigned' },
    { desiredState: TaskState.SHUTDOWN },
    { status },
    { status, err: 'other' },
    { networks: Task.create({ networks: [{ addresses: [`${a}`] }] }).networks },
    { networks: [], endpoint: undefined },
    { endpoint: Task.create({ endpoint: { virtualIps: [{ addr: `${b}` }] } }).endpoint },
    {
      assignedGenericResources: [
        { resource: { case: 'discreteResourceSpec', value: { kind: 'gpu', value: 2 } } },
      ],
    },
    { err: '' },
  ];
  return all[a % all.length] ?? {};
}

export function patched(task: Task, patch: TaskPatch): Task {
  const { status = task.status, state, message, err, ...rest } = patch;
  return {
    ...task,
    ...rest,
    status: {
      ...status,
      state: state ?? status.state,
      message: message ?? status.message,
      err: err ?? status.err,
    },
  };
}
