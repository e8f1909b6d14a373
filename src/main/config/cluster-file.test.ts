import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { containerOf } from '../cli/service/edit.ts';
import { readClusterFile, clusterName, type ClusterWish } from './cluster-file.ts';
import { ConfigError } from './problems.ts';
import { CLUSTER, SERVICE } from './schema.ts';

const files = new Map([
  ['/etc/skein/key.txt', 'sesame'],
  ['/etc/skein/vars.env', 'A=1\n# no\nB=2\n'],
]);
const around = {
  environment: { TOKEN: 'from here' },
  readFile: (path: string): Uint8Array => {
    const content = files.get(path);
    if (content === undefined) throw new Error('no such file');
    return Buffer.from(content);
  },
};

const read = (text: string): ClusterWish => readClusterFile(text, '/etc/skein/demo.yaml', around);

/** Every problem, one a line, without the file's name. */
function problemsOf(text: string): string {
  try {
    read(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.replaceAll('/etc/skein/demo.yaml:', '');
  }
  return 'none';
}

test('every key of a service does what the flag of its meaning does', () => {
  const { services, secrets, configs, networks } = read(`
networks: { front: {}, back: { driver: bridge, internal: true } }
secrets: { key: { file: key.txt }, token: { environment: TOKEN } }
configs: { site: { content: hi } }
services:
  web:
    image: nginx:1.27
    entrypoint: /run.sh
    command: nginx -g 'daemon off;'
    replicas: 3
    environment: [A=1, B=two]
    env_file: vars.env
    labels: { team: x }
    ports: ["8080:80", 9090, { target: 53, published: 53, protocol: udp, mode: host }]
    networks: { front: { aliases: [www] }, back: }
    secrets: [key, { source: token, target: /t, mode: "0400" }]
    configs: [{ source: site, target: /site }]
    volumes: ["data:/data:ro", "./web:/web", { type: tmpfs, target: /tmp, size: 1m }]
    constraints: [node.role == worker]
    spread: node.labels.zone
    max_replicas_per_node: 2
    resources:
      limits: { cpus: 0.5, memory: 64m, pids: 10 }
      reservations: { cpus: "0.25", memory: 32m, generic: { gpu: 1 } }
    restart: { condition: on-failure, delay: 2s, max_attempts: 3, window: 1m }
    update: { parallelism: 2, order: start-first, failure_action: rollback, max_failure_ratio: 0.5 }
    healthcheck: { test: [CMD, "true"], interval: 5s, retries: 3 }
    logging: { driver: json-file, options: { max-size: 10m } }
    stop_grace_period: 1m30s
    cap_add: [net_admin]
    ulimits: { nofile: { soft: 10, hard: 20 }, core: 0 }
    sysctls: { net.core.somaxconn: 1024 }
    dns: 8.8.8.8
    extra_hosts: ["db:10.0.0.5"]
    init: true
`);
  const [spec] = services;
  assert.ok(spec);
  const container = containerOf(spec);
  assert.deepEqual(container.command, ['/run.sh']);
  assert.deepEqual(container.args, ['nginx', '-g', 'daemon off;']);
  assert.deepEqual(container.env, ['A=1', 'B=two']);
  assert.deepEqual(
    spec.endpoint?.ports.map((p) => [p.publishedPort, p.targetPort, p.protocol, p.publishMode]),
    [
      [8080, 80, 0, 0],
      [0, 9090, 0, 0],
      [53, 53, 1, 1],
    ],
  );
  assert.deepEqual(
    spec.task.networks.map(({ target, aliases }) => [target, aliases]),
    [
      ['front', ['www']],
      ['back', []],
    ],
  );
  assert.deepEqual(
    container.secrets.map((s) => s.target?.value),
    [
      { name: 'key', uid: '0', gid: '0', mode: 0o444 },
      { name: '/t', uid: '0', gid: '0', mode: 0o400 },
    ],
  );
  assert.deepEqual(
    container.mounts.map(({ type, source, target, readonly }) => [type, source, target, readonly]),
    [
      [1, 'data', '/data', true],
      [0, '/etc/skein/web', '/web', false],
      [2, '', '/tmp', false],
    ],
  );
  assert.deepEqual(spec.task.placement?.constraints, ['node.role == worker']);
  assert.equal(spec.task.placement?.maxReplicas, 2);
  assert.equal(spec.task.resources?.limits?.nanoCpus, 5e8);
  assert.equal(spec.task.resources?.reservations?.memoryBytes, 33_554_432);
  assert.equal(container.pidsLimit, 10);
  assert.deepEqual(spec.task.restart, {
    condition: 1,
    delay: { seconds: 2, nanos: 0 },
    maxAttempts: 3,
    window: { seconds: 60, nanos: 0 },
  });
  assert.deepEqual(
    [spec.update?.parallelism, spec.update?.order, spec.update?.failureAction],
    [2, 1, 2],
  );
  assert.deepEqual(container.healthcheck?.test, ['CMD', 'true']);
  assert.deepEqual(container.capabilityAdd, ['CAP_NET_ADMIN']);
  assert.equal(container.init?.value, true);
  assert.deepEqual(
    secrets.map(({ data }) => Buffer.from(data).toString()),
    ['sesame', 'from here'],
  );
  assert.equal(Buffer.from(configs[0]?.data ?? []).toString(), 'hi');
  assert.deepEqual(
    networks.map((n) => [n.annotations.name, n.driverConfig?.name, n.internal]),
    [
      ['front', 'overlay', false],
      ['back', 'bridge', true],
    ],
  );
});

test('a restart condition is always written down', () => {
  const { services } = read('services: { a: { image: x }, b: { image: x, mode: replicated-job } }');
  assert.deepEqual(
    services.map(({ task }) => task.restart?.condition),
    [2, 1],
  );
});

test('workers: a number, a count with settings, or a list; one by default', () => {
  const names = (text: string): readonly string[] =>
    read(text).workers.map(({ name, executor }) => `${name} ${executor}`);
  assert.deepEqual(names(''), ['worker-1 auto']);
  assert.deepEqual(names('workers: 2'), ['worker-1 auto', 'worker-2 auto']);
  assert.deepEqual(names('workers: { count: 1, executor: process }'), ['worker-1 process']);
  assert.deepEqual(names('workers: [{ name: big, executor: simulated }, {}]'), [
    'big simulated',
    'worker-2 auto',
  ]);
  const [big] = read(
    'workers: [{ resources: { cpus: 0.5, memory: 1g, generic: { gpu: [a, b], ssd: 2 } }, engine_labels: { disk: ssd } }]',
  ).workers;
  assert.deepEqual(
    [big?.cpus, big?.memory, big?.generic, big?.engineLabels],
    ['0.5', '1g', 'gpu=a,gpu=b,ssd=2', { disk: 'ssd' }],
  );
  assert.match(
    problemsOf('workers: { count: 1, resources: { memory: much } }'),
    /1:35: "much" is not a size/,
  );
  assert.equal(read('').name, 'demo');
  assert.equal(clusterName('name: x', 'a/b.yaml'), 'x');
  assert.equal(clusterName(': :', 'a/Some File.yml'), 'some-file');
});

test('the example is right', () => {
  const path = 'examples/hello.yaml';
  const wish = readClusterFile(readFileSync(path, 'utf8'), path, around);
  assert.equal(wish.workers.length, 2);
  assert.deepEqual(
    wish.services.map(({ mode }) => mode),
    [{ case: 'replicated', value: { replicas: 3n } }],
  );
});

test('bad files: every problem at once, each with its place and what to write', (t) => {
  const bad = {
    syntax: 'services:\n  web: [\n',
    'a list on top': '- a\n',
    'unknown keys':
      'nmae: x\nservices:\n  web:\n    image: a\n    replica: 3\n    ports: ["80"]\n    restart: { delai: 1s }\n',
    'wrong kinds':
      'name: 5\nworkers: many\nservices:\n  web: { image: [a], ports: 80, command: { a: 1 } }\n  db:\n  cache: {}\n',
    'bad values': [
      'name: Up Case',
      'workers: { count: 2, executor: podman }',
      'services:',
      '  web:',
      '    image: "no such//image"',
      '    mode: everywhere',
      '    ports: ["80:80:80:80", "1-2:3"]',
      '    resources: { limits: { memory: 64q, cpus: -1 } }',
      '    stop_grace_period: 10',
      '    restart: sometimes',
      '    constraints: ["node.role ~ worker"]',
      '    environment: { A: 1 }',
      '    secrets: [{ source: key, mode: 0400 }]',
      '',
    ].join('\n'),
    'things that are not there': [
      'secrets: { key: { file: gone.txt }, token: { environment: NOPE }, both: { file: a, content: b } }',
      'networks: { front: }',
      'services:',
      '  web:',
      '    image: a',
      '    networks: [fornt]',
      '    secrets: [unheard]',
      '    env_file: gone.env',
      '',
    ].join('\n'),
    'what the manager would refuse':
      'services:\n  web:\n    image: a\n    mode: replicated-job\n    update: { parallelism: 1 }\n    ports: ["80:80", "80:81"]\n    environment: { A: "{{.Nope}}" }\nnetworks: { front: { subnet: 10.0.0.0/99 } }\n',
    'replicas of a global service': 'services: { web: { image: a, mode: global, replicas: 2 } }\n',
    'the same worker twice': 'workers: [{ name: a }, { name: a }]\n',
  };
  const answers = Object.entries(bad).map(([why, text]) => `# ${why}\n${problemsOf(text)}\n`);
  t.assert.fileSnapshot(answers.join('\n'), 'src/main/config/testing/bad-files.txt', {
    serializers: [String],
  });
});

test('no text breaks the reader', () => {
  const line = fc.constantFrom(
    'services:',
    '  web:',
    '    image: a',
    '    ports: [1, "a:b"]',
    'workers: 3',
    '  - x',
    '{',
    ']',
    'a: &a [*a]',
    '"',
    '    secrets: [{}]',
    'networks: { n: 1 }',
    '    command: [1]',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(line, fc.string()), { maxLength: 8 }), (lines) => {
      try {
        read(lines.join('\n'));
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error));
        assert.ok(error.problems.every(({ line: at, column }) => at >= 1 && column >= 1));
      }
    }),
    { numRuns: 500 },
  );
});

test('the reference names every key that there is', () => {
  const words = new Set(
    [...readFileSync('docs/cluster-file.md', 'utf8').matchAll(/`([a-z_]+)`/g)].map(
      (m) => m[1] ?? '',
    ),
  );
  const keys = [...Object.keys(CLUSTER.entries), ...Object.keys(SERVICE.entries)];
  assert.deepEqual(
    keys.filter((key) => !words.has(key)),
    [],
  );
});
