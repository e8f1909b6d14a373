/**
 * The cluster file: one YAML file that says what a cluster is made of and what runs on it.
 *
 * Reading it either gives the whole wish, checked as the manager would check it, or every problem at
 * once, each with its line and column.
 */
import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { LineCounter, parseDocument, type Document } from 'yaml';
import { networkProblems } from '../../shared/model/checks/network-checks.ts';
import { serviceProblems } from '../../shared/model/checks/service-checks.ts';
import { NetworkSpec, type ServiceSpec } from '../../shared/wire/gen/specs.ts';
import { containerOf, withContainer } from '../cli/service/edit.ts';
import { LISTS } from '../cli/service/lists.ts';
import { emptySpec } from '../cli/service/spec-of-flags.ts';
import { environmentFileOf, offeredResourcesOf } from '../cli/syntax/container-settings.ts';
import { SyntaxProblem } from '../cli/syntax/problem.ts';
import { bytesOf, nanoCpusOf } from '../cli/syntax/quantities.ts';
import { nearest } from '../cli/syntax/words.ts';
import { ConfigError, type FilePath, type FileProblem, placeOf } from './problems.ts';
import type {
  ClusterShape,
  NetworkShape,
  PayloadShape,
  ServiceShape,
  WorkerShape,
} from './schema.ts';
import { stepsOf } from './service-steps.ts';
import { shapeOf } from './shape-problems.ts';

type Labels = Readonly<Record<string, string>>;

export type WorkerWish = {
  readonly name: string;
  /** As `--executor` takes it. */
  readonly executor: string;
  readonly labels: Labels;
  readonly engineLabels: Labels;
  /** As `--cpus`, `--memory` and `--generic-node-resources` take them. */
  readonly cpus: string | undefined;
  readonly memory: string | undefined;
  readonly generic: string | undefined;
};

/** A secret or a config. */
export type PayloadWish = {
  readonly name: string;
  readonly data: Uint8Array;
  readonly labels: Labels;
};

export type ClusterWish = {
  readonly name: string;
  readonly manager: {
    readonly listen: string | undefined;
    readonly advertise: string | undefined;
    readonly availability: 'active' | 'pause' | 'drain';
    readonly executor: string;
  };
  readonly workers: readonly WorkerWish[];
  readonly networks: readonly NetworkSpec[];
  readonly secrets: readonly PayloadWish[];
  readonly configs: readonly PayloadWish[];
  /** Networks, secrets and configs are named, not yet found. */
  readonly services: readonly ServiceSpec[];
};

/** What reading a file needs of the machine. */
export type Surroundings = {
  readonly readFile: (path: string) => Uint8Array;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

/**
 * @param path the file's own name, for errors and for files that it names
 * @throws ConfigError with everything that is wrong
 */
export function readClusterFile(text: string, path: string, around: Surroundings): ClusterWish {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const syntax = document.errors.map(({ message, pos }) => {
    const { line, col } = lines.linePos(pos[0]);
    return { line, column: col, text: message };
  });
  if (syntax.length > 0) throw new ConfigError(path, syntax);
  const shaped = shapeOf(jsOf(document, path));
  const reader = new Reader(path, around);
  const wish = shaped.shape === undefined ? undefined : reader.wishOf(shaped.shape);
  const problems = [...shaped.problems, ...reader.problems];
  if (wish !== undefined && problems.length === 0) return wish;
  const placed = problems.map((problem) => ({
    ...placeOf(document, lines, problem.path),
    text: problem.text,
  }));
  throw new ConfigError(
    path,
    placed.toSorted((a, b) => a.line - b.line || a.column - b.column),
  );
}

function jsOf(document: Document, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 1000 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError(path, [{ line: 1, column: 1, text: why }]);
  }
}

/** A name for a cluster whose file gives none: that of the file. */
function nameFrom(path: string): string {
  const base =
    path
      .split('/')
      .at(-1)
      ?.replace(/\.ya?ml$/, '') ?? '';
  const name = base
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '-')
    .replace(/^[^a-z0-9]+/, '');
  return name === ''
    ? `cluster-${createHash('sha256').update(base).digest('hex').slice(0, 6)}`
    : name;
}

/** The cluster's name, which even a file that is not right may tell. */
export function clusterName(text: string, path: string): string {
  const name: unknown = parseDocument(text).get('name');
  return typeof name === 'string' ? name : nameFrom(path);
}

/** Networks that every engine has. */
const PREDEFINED_NETWORKS = ['host', 'bridge', 'none', 'ingress'];

/** Where a part of a spec stands in the file. */
const KEYS: Readonly<Record<string | number, string>> = {
  image: 'image',
  env: 'environment',
  hostname: 'hostname',
  mounts: 'volumes',
  healthcheck: 'healthcheck',
  secrets: 'secrets',
  configs: 'configs',
  placement: 'constraints',
  resources: 'resources',
  restart: 'restart',
  update: 'update',
  ports: 'ports',
  mode: 'mode',
};

class Reader {
  readonly problems: FileProblem[] = [];
  readonly #said = new Set<string>();
  readonly #path: string;
  readonly #around: Surroundings;

  constructor(path: string, around: Surroundings) {
    this.#path = path;
    this.#around = around;
  }

  wishOf(shape: ClusterShape): ClusterWish {
    const { listen, advertise, availability, executor } = shape.manager ?? {};
    return {
      name: shape.name ?? nameFrom(this.#path),
      manager: {
        listen,
        advertise,
        availability: availability ?? 'drain',
        executor: executor ?? ((availability ?? 'drain') === 'drain' ? 'none' : 'auto'),
      },
      workers: this.#workers(shape),
      networks: this.#networks(shape),
      secrets: this.#payloads(shape, 'secrets'),
      configs: this.#payloads(shape, 'configs'),
      services: Object.entries(shape.services ?? {}).map(([name, service]) =>
        this.#service(name, service, shape),
      ),
    };
  }

  #problem(path: FilePath, text: string): void {
    const key = `${path.join('\n')}\n${text}`;
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.problems.push({ path, text });
  }

  /** Runs `read`; a problem with the value stands at `path`. */
  #at<T>(path: FilePath, read: () => T, otherwise: T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      this.#problem(path, error.message);
      return otherwise;
    }
  }

  #labels(pairs: WorkerShape['labels'], path: FilePath): Labels {
    if (pairs === undefined) return {};
    if (!Array.isArray(pairs)) {
      return Object.fromEntries(
        Object.entries(pairs).map(([key, value]) => [key, value === null ? '' : String(value)]),
      );
    }
    return Object.fromEntries(
      pairs.map((pair, at) => {
        const [key = '', ...rest] = String(pair).split('=');
        if (key === '') this.#problem([...path, at], `"${pair}" has no name; write NAME=VALUE`);
        return [key, rest.join('=')];
      }),
    );
  }

  #workers(shape: ClusterShape): readonly WorkerWish[] {
    const { workers = 1 } = shape;
    const items: readonly WorkerShape[] = Array.isArray(workers)
      ? workers
      : Array.from({ length: typeof workers === 'number' ? workers : workers.count }, () =>
          typeof workers === 'number' ? {} : { ...workers, count: undefined },
        );
    const taken = new Set<string>();
    return items.map((item, at) => {
      const path = Array.isArray(workers) ? ['workers', at] : ['workers'];
      const name = item.name ?? `worker-${at + 1}`;
      if (!/^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/.test(name)) {
        this.#problem([...path, 'name'], `"${name}" is not a host name; write e.g. worker-1`);
      }
      if (taken.has(name)) this.#problem([...path, 'name'], `two workers are called "${name}"`);
      taken.add(name);
      const executor = item.executor ?? 'auto';
      if (!/^(auto|docker|process|simulated(:\d+)?)$/.test(executor)) {
        const text = `"${executor}" is not an executor; write auto, docker, process or simulated`;
        this.#problem([...path, 'executor'], text);
      }
      return {
        name,
        executor,
        labels: this.#labels(item.labels, [...path, 'labels']),
        engineLabels: this.#labels(item.engine_labels, [...path, 'engine_labels']),
        ...this.#offer(item.resources, [...path, 'resources']),
      };
    });
  }

  #offer(
    resources: WorkerShape['resources'],
    path: FilePath,
  ): Pick<WorkerWish, 'cpus' | 'memory' | 'generic'> {
    const cpus = resources?.cpus === undefined ? undefined : String(resources.cpus);
    const memory = resources?.memory === undefined ? undefined : String(resources.memory);
    const kinds = Object.entries(resources?.generic ?? {}).flatMap(([kind, value]) =>
      Array.isArray(value)
        ? value.map((name) => `${kind}=${String(name)}`)
        : [`${kind}=${String(value)}`],
    );
    const generic = kinds.length === 0 ? undefined : kinds.join(',');
    if (cpus !== undefined) this.#at([...path, 'cpus'], () => nanoCpusOf(cpus), 0);
    if (memory !== undefined) this.#at([...path, 'memory'], () => bytesOf(memory), 0);
    if (generic !== undefined)
      this.#at([...path, 'generic'], () => offeredResourcesOf(generic), []);
    return { cpus, memory, generic };
  }

  #networks(shape: ClusterShape): readonly NetworkSpec[] {
    return Object.entries(shape.networks ?? {}).flatMap(([name, network]) => {
      if (network?.external === true) return [];
      const spec = this.#network(name, network);
      for (const { text } of networkProblems(spec)) this.#problem(['networks', name], text);
      return [spec];
    });
  }

  #network(name: string, network: NetworkShape): NetworkSpec {
    const { subnet = '', gateway = '', ip_range: range = '' } = network ?? {};
    const hasAddresses = subnet !== '' || gateway !== '' || range !== '';
    const options = Object.entries(network?.driver_opts ?? {});
    return NetworkSpec.create({
      annotations: { name, labels: this.#labels(network?.labels, ['networks', name, 'labels']) },
      driverConfig: {
        name: network?.driver ?? 'overlay',
        options: Object.fromEntries(options.map(([key, value]) => [key, String(value)])),
      },
      internal: network?.internal ?? false,
      attachable: network?.attachable ?? false,
      ipam: hasAddresses
        ? { driver: { name: 'default' }, configs: [{ subnet, gateway, range }] }
        : undefined,
    });
  }

  #payloads(shape: ClusterShape, kind: 'secrets' | 'configs'): readonly PayloadWish[] {
    return Object.entries(shape[kind] ?? {}).flatMap(([name, payload]) => {
      if (payload.external === true) return [];
      const data = this.#payload(payload, [kind, name]);
      return [{ name, data, labels: this.#labels(payload.labels, [kind, name, 'labels']) }];
    });
  }

  #payload({ file, content, environment }: PayloadShape, path: FilePath): Uint8Array {
    const empty = new Uint8Array();
    if ([file, content, environment].filter((way) => way !== undefined).length !== 1) {
      this.#problem(path, 'write exactly one of file, content and environment, or external: true');
      return empty;
    }
    if (content !== undefined) return Buffer.from(String(content));
    if (environment !== undefined) {
      const value = this.#around.environment[environment];
      if (value !== undefined) return Buffer.from(value);
      this.#problem(
        [...path, 'environment'],
        `the environment has no ${environment}; set it and try again`,
      );
      return empty;
    }
    return this.#file(file ?? '', [...path, 'file']) ?? empty;
  }

  #file(name: string, path: FilePath): Uint8Array | undefined {
    try {
      return this.#around.readFile(resolve(dirname(this.#path), name));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#problem(path, `cannot read "${name}": ${why}`);
      return undefined;
    }
  }

  #service(name: string, shape: ServiceShape, cluster: ClusterShape): ServiceSpec {
    const above = ['services', name];
    const mode = shape.mode ?? 'replicated';
    const empty = emptySpec(name, 'replicated');
    let spec = this.#at([...above, 'mode'], () => emptySpec(name, mode), empty);
    spec = withContainer(spec, { image: shape.image });
    const files = typeof shape.env_file === 'string' ? [shape.env_file] : (shape.env_file ?? []);
    for (const file of files) spec = this.#environment(spec, file, [...above, 'env_file']);
    for (const { path, edit } of stepsOf(shape)) {
      const before = spec;
      spec = this.#at([...above, ...path], () => edit(before), before);
    }
    spec = this.#withOwnPaths(spec);
    this.#references(spec, cluster, above);
    for (const { path, text } of serviceProblems(withPlaceholders(spec))) {
      const key = path.map((part) => KEYS[part]).find((each) => each !== undefined);
      this.#problem(key === undefined ? above : [...above, key], text);
    }
    return spec;
  }

  #environment(spec: ServiceSpec, file: string, path: FilePath): ServiceSpec {
    const text = Buffer.from(this.#file(file, path) ?? []).toString();
    const { environment } = this.#around;
    const variables = this.#at(path, () => environmentFileOf(text, environment), []);
    return LISTS['env']?.add(spec, variables) ?? spec;
  }

  /** Paths of bound files count from the cluster file. */
  #withOwnPaths(spec: ServiceSpec): ServiceSpec {
    const { mounts } = containerOf(spec);
    if (!mounts.some(({ source }) => source.startsWith('.'))) return spec;
    const base = dirname(resolve(this.#path));
    return withContainer(spec, {
      mounts: mounts.map((mount) =>
        mount.source.startsWith('.') ? { ...mount, source: resolve(base, mount.source) } : mount,
      ),
    });
  }

  #references(spec: ServiceSpec, cluster: ClusterShape, above: FilePath): void {
    const { secrets, configs } = containerOf(spec);
    const used = {
      networks: spec.task.networks.map(({ target }) => target),
      secrets: secrets.map(({ secretName }) => secretName),
      configs: configs.map(({ configName }) => configName),
    };
    for (const kind of ['networks', 'secrets', 'configs'] as const) {
      const known = Object.keys(cluster[kind] ?? {});
      for (const [at, name] of used[kind].entries()) {
        if (known.includes(name) || (kind === 'networks' && PREDEFINED_NETWORKS.includes(name)))
          continue;
        const meant = nearest(name, known);
        const hint =
          meant === undefined
            ? `declare it under ${kind} (with "external: true" if the cluster has it already)`
            : `did you mean "${meant}"?`;
        this.#problem([...above, kind, at], `there is no "${name}" under ${kind}; ${hint}`);
      }
    }
  }
}

/** With ids, so that only what the file itself has wrong is found. */
function withPlaceholders(spec: ServiceSpec): ServiceSpec {
  const { secrets, configs } = containerOf(spec);
  return withContainer(spec, {
    secrets: secrets.map((item) => ({ ...item, secretId: item.secretName })),
    configs: configs.map((item) => ({ ...item, configId: item.configName })),
  });
}
