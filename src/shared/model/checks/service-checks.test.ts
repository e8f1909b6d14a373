import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceSpec } from '../../wire/gen/specs.ts';
import type { Init } from '../../wire/runtime.ts';
import { firstProblem } from './problem.ts';
import { serviceProblems } from './service-checks.ts';

type Spec = Init<ServiceSpec>;
type TaskInit = NonNullable<Spec['task']>;
type ContainerInit = NonNullable<
  Extract<TaskInit['runtime'], { readonly case: 'container' }>
>['value'];

const mode: Spec['mode'] = { case: 'replicated', value: { replicas: 1n } };

/** A good spec with the given parts instead. */
const service = (init: Spec): ServiceSpec =>
  ServiceSpec.create({ annotations: { name: 'web' }, mode, ...container({}), ...init });

const container = (value: ContainerInit, task: TaskInit = {}): Spec => ({
  task: { ...task, runtime: { case: 'container', value: { image: 'nginx', ...value } } },
});

const task = (init: TaskInit): Spec => container({}, init);
const named = (name: string): Spec => ({ annotations: { name } });
const generic = (kind: string, payload?: { typeUrl?: string; value?: Uint8Array }): Spec => ({
  task: { runtime: { case: 'generic', value: { kind, payload } } },
});
const limits = (init: { nanoCpus?: number; memoryBytes?: number }): Spec =>
  task({ resources: { limits: init } });
const reserves = (init: { nanoCpus?: number; memoryBytes?: number }): Spec =>
  task({ resources: { reservations: init } });
const target = (file: string | undefined) =>
  file === undefined ? undefined : ({ case: 'file', value: { name: file } } as const);
const secret = (id: string, name: string, file?: string) => ({
  secretId: id,
  secretName: name,
  target: target(file),
});
const config = (id: string, name: string, file?: string) => ({
  configId: id,
  configName: name,
  target: target(file),
});
const constraint = (text: string): Spec => task({ placement: { constraints: [text] } });
const credential = (id: string): ContainerInit => ({
  privileges: { credentialSpec: { source: { case: 'config', value: id } } },
});
const discrete = (value: number) =>
  ({ resource: { case: 'discreteResourceSpec', value: { kind: 'gpu', value } } }) as const;
const bytes = Uint8Array.of(1);
const NEGATIVE = { seconds: -1 };
const SHORT = { nanos: 999_999 };
const BIG = 1n << 63n;

const REFUSED: readonly (readonly [spec: Spec, text: string, code?: string])[] = [
  [named(''), 'meta: name must be provided'],
  [named('-web'), 'name must be valid as a DNS name component'],
  [named('web_'), 'name must be valid as a DNS name component'],
  [named('web.1'), 'name must be valid as a DNS name component'],
  [named('web\n'), 'name must be valid as a DNS name component'],
  [named('a'.repeat(64)), 'name must be 63 characters or fewer'],
  [limits({ nanoCpus: 999_999 }), 'invalid cpu value 0.000999999: Must be at least 0.001'],
  [limits({ nanoCpus: 1 }), 'invalid cpu value 1e-09: Must be at least 0.001'],
  [reserves({ nanoCpus: -2e9 }), 'invalid cpu value -2: Must be at least 0.001'],
  [limits({ memoryBytes: 4194303 }), 'invalid memory value 4194303: Must be at least 4MiB'],
  [reserves({ memoryBytes: -1 }), 'invalid memory value -1: Must be at least 4MiB'],
  [task({ restart: { delay: NEGATIVE } }), 'TaskSpec: restart-delay cannot be negative'],
  [task({ restart: { window: NEGATIVE } }), 'TaskSpec: restart-window cannot be negative'],
  [constraint('node.role'), 'constraint expected one operator from ==, !=', 'UNKNOWN'],
  [constraint('1x==a'), "key '1x' is invalid", 'UNKNOWN'],
  [constraint('node.id=='), "value '' is invalid", 'UNKNOWN'],
  [container({ secrets: [secret('', 'a', 'f')] }), 'malformed secret reference'],
  [container({ secrets: [secret('s', '', 'f')] }), 'malformed secret reference'],
  [container({ secrets: [secret('s', 'a')] }), 'malformed secret reference, no target provided'],
  [
    container({ secrets: [secret('s', 'a', '')] }),
    'malformed file secret reference, invalid target file name provided',
  ],
  [
    container({ secrets: [secret('s', 'a', 'f'), secret('t', 'b', 'f')] }),
    "secret references 'a' and 'b' have a conflicting target: 'f'",
  ],
  [container({ configs: [config('c', '', 'f')] }), 'malformed config reference'],
  [container({ configs: [config('c', 'a')] }), 'malformed config reference, no target provided'],
  [
    container({ configs: [config('c', 'a', '')] }),
    'malformed file config reference, invalid target file name provided',
  ],
  [
    container({ configs: [config('c', 'a', 'f'), config('d', 'b', 'f')] }),
    "config references 'a' and 'b' have a conflicting target: 'f'",
  ],
  [
    container({ ...credential('c'), configs: [config('c', 'a', 'f')] }),
    "CredentialSpec references config 'c', but that config isn't in config references with RuntimeTarget",
  ],
  [{ task: {} }, 'TaskSpec: missing runtime'],
  [
    { task: { runtime: { case: 'attachment', value: {} } } },
    'RuntimeSpec: unimplemented runtime in service spec',
    'UNIMPLEMENTED',
  ],
  [container({ image: '' }), 'ContainerSpec: image reference must be provided'],
  [container({ image: 'A"b' }), String.raw`ContainerSpec: "A\"b" is not a valid repository/tag`],
  [
    container({ mounts: [{ target: '/a' }, { target: '/b' }, { target: '/a' }] }),
    'ContainerSpec: duplicate mount point: /a',
  ],
  [
    container({ mounts: [{ target: '/1' }, { target: '/{{.Task.Slot}}' }] }),
    'ContainerSpec: duplicate mount point: /1',
  ],
  [
    container({ healthcheck: { interval: SHORT } }),
    'ContainerSpec: Interval in HealthConfig cannot be less than 1ms',
  ],
  [
    container({ healthcheck: { timeout: NEGATIVE } }),
    'ContainerSpec: Timeout in HealthConfig cannot be less than 1ms',
  ],
  [
    container({ healthcheck: { startPeriod: SHORT } }),
    'ContainerSpec: StartPeriod in HealthConfig cannot be less than 1ms',
  ],
  [
    container({ healthcheck: { startInterval: SHORT } }),
    'ContainerSpec: StartInterval in HealthConfig cannot be less than 1ms',
  ],
  [
    container({ healthcheck: { retries: -1 } }),
    'ContainerSpec: Retries in HealthConfig cannot be negative',
  ],
  [generic('ab'), 'Generic runtime: Invalid name "ab"'],
  [generic('Container'), 'Generic runtime: "Container" is a reserved name'],
  [generic('attachment'), 'Generic runtime: "attachment" is a reserved name'],
  [generic('plugin'), 'Generic runtime is missing payload'],
  [generic('plugin', { value: bytes }), 'Generic runtime is missing payload type'],
  [generic('plugin', { typeUrl: 'x' }), 'Generic runtime has an empty payload'],
  [
    { mode: { case: 'replicated', value: { replicas: BIG } } },
    'Number of replicas must be non-negative',
  ],
  [
    { mode: { case: 'replicatedJob', value: { maxConcurrent: BIG } } },
    'Maximum concurrent jobs must not be negative',
  ],
  [
    { mode: { case: 'replicatedJob', value: { totalCompletions: BIG } } },
    'Total completed jobs must not be negative',
  ],
  [{ mode: undefined }, 'Unrecognized service mode'],
  [{ mode: { case: 'globalJob', value: {} }, update: {} }, 'Jobs may not have an update config'],
  [{ update: { delay: NEGATIVE } }, 'TaskSpec: update-delay cannot be negative'],
  [{ update: { monitor: NEGATIVE } }, 'TaskSpec: update-monitor cannot be negative'],
  [
    { update: { maxFailureRatio: -0.1 } },
    'TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1',
  ],
  [
    { update: { maxFailureRatio: 1.5 } },
    'TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1',
  ],
  [
    { endpoint: { mode: 1, ports: [{ targetPort: 80 }] } },
    "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
  ],
  [
    { endpoint: { ports: [{ publishedPort: 80 }, { publishedPort: 80, publishMode: 1 }] } },
    'EndpointSpec: duplicate published ports provided',
  ],
];

test('[CHK1] each problem of a service has its text and code', () => {
  for (const [init, text, code = 'INVALID_ARGUMENT'] of REFUSED) {
    const problem = firstProblem(serviceProblems(service(init)));
    assert.deepEqual({ text: problem?.text, code: problem?.code }, { text, code });
  }
});

test('[CHK1] templates are expanded as for a first task', () => {
  const bad = [
    [{ env: ['A={{.Nope}}'] }, /^expanding env failed: /],
    [{ mounts: [{ source: '{{.Task.Nope}}' }] }, /^expanding mounts failed: /],
    [{ hostname: '{{' }, /^expanding hostname failed: /],
  ] as const;
  for (const [init, text] of bad) {
    const problem = firstProblem(serviceProblems(service(container(init))));
    assert.match(problem?.text ?? '', text);
    assert.equal(problem?.code, 'INVALID_ARGUMENT');
  }
});

test('[CHK2] what is not wrong passes', () => {
  const good: readonly Spec[] = [
    {},
    named('a'),
    named('A-_b9'),
    named('a'.repeat(63)),
    limits({ nanoCpus: 1e6, memoryBytes: 4 << 20 }),
    task({ restart: { delay: {}, window: { seconds: 1 } } }),
    constraint('node.labels.x != y'),
    container({ secrets: [secret('s', 'a', 'f'), secret('s', 'a', 'g')] }),
    container({
      ...credential('c'),
      configs: [{ configId: 'c', configName: 'a', target: { case: 'runtime', value: {} } }],
    }),
    container({
      env: ['A={{.Task.Slot}}', 'B', 'C={{.Service.Name}}'],
      hostname: '{{.Node.Hostname}}',
    }),
    container({ healthcheck: { interval: {}, timeout: { nanos: 1_000_000 } } }),
    generic('plugin', { typeUrl: 'x', value: bytes }),
    { mode: { case: 'global', value: {} }, update: { maxFailureRatio: 1, delay: { seconds: 1 } } },
    { mode: { case: 'replicatedJob', value: { maxConcurrent: 1n, totalCompletions: 5n } } },
    { rollback: { delay: NEGATIVE } },
    { endpoint: { mode: 1, ports: [{ publishedPort: 80, publishMode: 1 }] } },
    {
      endpoint: {
        ports: [{ publishedPort: 80 }, { publishedPort: 80, protocol: 1 }, { targetPort: 1 }, {}],
      },
    },
  ];
  for (const init of good) assert.deepEqual([...serviceProblems(service(init))], []);
});

test('[CHK3] what SwarmKit overlooks and nothing could run is refused too', () => {
  const rows = [
    [
      task({ resources: { reservations: { generic: [discrete(1), discrete(-1)] } } }),
      ['task', 'resources', 'reservations', 'generic', 1],
      'invalid argument for resource gpu: the count cannot be negative',
    ],
    [
      task({
        resources: {
          reservations: {
            generic: [{ resource: { case: 'namedResourceSpec', value: { kind: 'gpu' } } }],
          },
        },
      }),
      ['task', 'resources', 'reservations', 'generic', 0],
      'invalid argument for resource gpu: a reservation names a count, not a single resource',
    ],
    [
      { update: { maxFailureRatio: Number.NaN } },
      ['update', 'maxFailureRatio'],
      'TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1',
    ],
    [
      { endpoint: { ports: [{ publishedPort: 65_536 }] } },
      ['endpoint', 'ports', 0],
      'EndpointSpec: port numbers end at 65535',
    ],
    [
      task({ restart: { delay: { seconds: 1, nanos: -1 } } }),
      ['task', 'restart', 'delay'],
      'task.restart.delay is no valid duration: 1 s and -1 ns. Both must have one sign, ' +
        'nanoseconds stay below a second, and the whole below 292 years',
    ],
  ] as const;
  for (const [init, path, text] of rows) {
    assert.deepEqual(
      [...serviceProblems(service(init))],
      [{ code: 'INVALID_ARGUMENT', path, text }],
    );
  }
});

test('[CHK4] problems come in order, and all of them when asked', () => {
  const spec = service({
    ...container({ image: 'A' }, { restart: { delay: NEGATIVE } }),
    annotations: { name: '' },
    mode: undefined,
  });
  assert.deepEqual(
    [...serviceProblems(spec)].map(({ path }) => path.join('.')),
    ['annotations.name', 'task.restart.delay', 'task.runtime.container.image', 'mode'],
  );
});

test('names that backtracking would choke on are refused at once', () => {
  const spec = service(named(`${'a'.repeat(100_000)}!`));
  assert.equal(firstProblem(serviceProblems(spec))?.path.join('.'), 'annotations.name');
});
