/**
 * The shape of a cluster file: which keys there are and what kind of value each takes. What the values
 * mean is read later, by the same parsers as the command line's.
 */
import * as v from 'valibot';

const text = v.union([v.string(), v.number(), v.boolean()], 'expected a text or a number');
const flag = v.boolean('expected true or false');
const texts = v.array(text, 'expected a list');
const words = v.union([v.string(), v.array(v.string())], 'expected a text or a list of texts');
const nothing = v.null();
/** YAML has more than one way to read 0440 as a number. */
const fileMode = v.string('write a file mode as a text, e.g. "0440"');

export const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Names and values; a list is none. */
const mapOf = <S extends v.GenericSchema>(value: S, message = 'expected NAME: VALUE') =>
  v.pipe(v.custom<Record<string, unknown>>(isMap, message), v.record(v.string(), value));

/** `{ A: 1 }` or `[A=1]`. */
const pairs = v.union(
  [texts, mapOf(v.nullable(text))],
  'expected KEY: VALUE pairs or a list of KEY=VALUE',
);

const port = v.union(
  [
    v.string(),
    v.number(),
    v.strictObject({
      target: v.number(),
      published: v.optional(text),
      protocol: v.optional(v.string()),
      mode: v.optional(v.string()),
      name: v.optional(v.string()),
    }),
  ],
  'expected a port such as "8080:80", or target, published, protocol, mode, name',
);

const reference = v.union(
  [
    v.string(),
    v.strictObject({
      source: v.string(),
      target: v.optional(v.string()),
      uid: v.optional(text),
      gid: v.optional(text),
      mode: v.optional(fileMode),
    }),
  ],
  'expected a name, or source, target, uid, gid, mode',
);

const mount = v.union(
  [
    v.string(),
    v.strictObject({
      type: v.optional(v.string()),
      source: v.optional(v.string()),
      target: v.string(),
      read_only: v.optional(flag),
      propagation: v.optional(v.string()),
      nocopy: v.optional(flag),
      subpath: v.optional(v.string()),
      driver: v.optional(v.string()),
      size: v.optional(text),
      mode: v.optional(fileMode),
    }),
  ],
  'expected a mount such as "data:/data:ro", or type, source, target, read_only',
);

const attachments = v.union(
  [
    v.array(v.string()),
    mapOf(
      v.union([
        nothing,
        v.strictObject({
          aliases: v.optional(v.array(v.string())),
          driver_opts: v.optional(mapOf(text)),
        }),
      ]),
    ),
  ],
  'expected a list of networks, or NETWORK: { aliases: [...] }',
);

const updates = v.strictObject({
  parallelism: v.optional(text),
  delay: v.optional(text),
  monitor: v.optional(text),
  failure_action: v.optional(text),
  max_failure_ratio: v.optional(text),
  order: v.optional(text),
});

const amounts = {
  cpus: v.optional(text),
  memory: v.optional(text),
};

export const SERVICE = v.strictObject({
  image: v.string('expected the name of an image'),
  command: v.optional(words),
  entrypoint: v.optional(words),
  mode: v.optional(v.string()),
  replicas: v.optional(text),
  max_concurrent: v.optional(text),
  environment: v.optional(pairs),
  env_file: v.optional(words),
  labels: v.optional(pairs),
  container_labels: v.optional(pairs),
  ports: v.optional(v.array(port, 'expected a list')),
  networks: v.optional(attachments),
  secrets: v.optional(v.array(reference, 'expected a list')),
  configs: v.optional(v.array(reference, 'expected a list')),
  volumes: v.optional(v.array(mount, 'expected a list')),
  constraints: v.optional(texts),
  spread: v.optional(words),
  max_replicas_per_node: v.optional(text),
  resources: v.optional(
    v.strictObject({
      limits: v.optional(v.strictObject({ ...amounts, pids: v.optional(text) })),
      reservations: v.optional(
        v.strictObject({ ...amounts, generic: v.optional(mapOf(v.number())) }),
      ),
    }),
  ),
  restart: v.optional(
    v.union(
      [
        v.string(),
        v.strictObject({
          condition: v.optional(text),
          delay: v.optional(text),
          max_attempts: v.optional(text),
          window: v.optional(text),
        }),
      ],
      'expected none, on-failure or any, or condition, delay, max_attempts, window',
    ),
  ),
  update: v.optional(updates),
  rollback: v.optional(updates),
  healthcheck: v.optional(
    v.strictObject({
      test: v.optional(words),
      disable: v.optional(flag),
      interval: v.optional(text),
      timeout: v.optional(text),
      retries: v.optional(text),
      start_period: v.optional(text),
      start_interval: v.optional(text),
    }),
  ),
  logging: v.optional(
    v.strictObject({
      driver: v.optional(v.string()),
      options: v.optional(mapOf(text)),
    }),
  ),
  endpoint_mode: v.optional(v.string()),
  hostname: v.optional(v.string()),
  user: v.optional(text),
  group_add: v.optional(texts),
  working_dir: v.optional(v.string()),
  stop_signal: v.optional(text),
  stop_grace_period: v.optional(text),
  tty: v.optional(flag),
  read_only: v.optional(flag),
  init: v.optional(flag),
  isolation: v.optional(v.string()),
  oom_score_adj: v.optional(text),
  cap_add: v.optional(texts),
  cap_drop: v.optional(texts),
  ulimits: v.optional(
    mapOf(v.union([v.number(), v.strictObject({ soft: v.number(), hard: v.number() })])),
  ),
  sysctls: v.optional(pairs),
  dns: v.optional(words),
  dns_search: v.optional(words),
  dns_opt: v.optional(words),
  extra_hosts: v.optional(texts),
});
export type ServiceShape = v.InferOutput<typeof SERVICE>;

const worker = {
  executor: v.optional(v.string()),
  labels: v.optional(pairs),
  engine_labels: v.optional(pairs),
  resources: v.optional(
    v.strictObject({ ...amounts, generic: v.optional(mapOf(v.union([v.number(), texts]))) }),
  ),
};

const WORKER = v.strictObject({ name: v.optional(v.string()), ...worker });
export type WorkerShape = v.InferOutput<typeof WORKER>;

const PAYLOAD = v.strictObject({
  file: v.optional(v.string()),
  content: v.optional(text),
  environment: v.optional(v.string()),
  labels: v.optional(pairs),
  external: v.optional(flag),
});
export type PayloadShape = v.InferOutput<typeof PAYLOAD>;

const NETWORK = v.union([
  nothing,
  v.strictObject({
    driver: v.optional(v.string()),
    driver_opts: v.optional(mapOf(text)),
    subnet: v.optional(v.string()),
    gateway: v.optional(v.string()),
    ip_range: v.optional(v.string()),
    internal: v.optional(flag),
    attachable: v.optional(flag),
    labels: v.optional(pairs),
    external: v.optional(flag),
  }),
]);
export type NetworkShape = v.InferOutput<typeof NETWORK>;

export const CLUSTER = v.strictObject({
  name: v.optional(
    v.pipe(
      v.string('expected a name'),
      v.regex(
        /^[a-z0-9][a-z0-9_-]{0,40}$/,
        'a name has lower-case letters, digits, - and _, e.g. hello',
      ),
    ),
  ),
  manager: v.optional(
    v.strictObject({
      listen: v.optional(v.string()),
      advertise: v.optional(v.string()),
      availability: v.optional(
        v.picklist(['active', 'pause', 'drain'], 'expected active, pause or drain'),
      ),
      executor: v.optional(v.string()),
    }),
  ),
  workers: v.optional(
    v.union(
      [
        v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(200)),
        v.array(WORKER),
        v.strictObject({
          count: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(200)),
          ...worker,
        }),
      ],
      'expected count, executor, labels; or a list of workers; a number is from 0 to 200',
    ),
  ),
  networks: v.optional(mapOf(NETWORK, 'expected NAME: { ... }')),
  secrets: v.optional(mapOf(PAYLOAD, 'expected NAME: { file: ... }')),
  configs: v.optional(mapOf(PAYLOAD, 'expected NAME: { file: ... }')),
  services: v.optional(mapOf(SERVICE, 'expected NAME: { image: ... }')),
});
export type ClusterShape = v.InferOutput<typeof CLUSTER>;
