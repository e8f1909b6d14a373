/**
 * What each key of a service in the file changes in its spec. Every key goes through the table of the
 * flag of the same meaning, so that both read and refuse the same values.
 */
import type { ServiceSpec } from '../../shared/wire/gen/specs.ts';
import { withContainer } from '../cli/service/edit.ts';
import { LISTS } from '../cli/service/lists.ts';
import { SETTINGS } from '../cli/service/settings.ts';
import { shortMountOf } from '../cli/syntax/mounts.ts';
import { SyntaxProblem } from '../cli/syntax/problem.ts';
import { shellWords } from '../cli/syntax/words.ts';
import { withHealth } from '../cli/service/edit.ts';
import type { FilePath } from './problems.ts';
import type { ServiceShape } from './schema.ts';

/** `path` is below the service. */
export type Step = { readonly path: FilePath; readonly edit: (spec: ServiceSpec) => ServiceSpec };

type Scalar = string | number | boolean;
type Pairs = Readonly<Record<string, Scalar | null>> | readonly Scalar[];

/** `a=b,c=d`, with values that hold commas in quotes. */
function fieldsText(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${String(value)}`)
    .map((field) => (/[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(',');
}

function pairTexts(pairs: Pairs): readonly string[] {
  if (Array.isArray(pairs)) return pairs.map(String);
  return Object.entries(pairs).map(([key, value]) =>
    value === null ? key : `${key}=${String(value)}`,
  );
}

const wordsOf = (value: string | readonly string[]): readonly string[] =>
  typeof value === 'string' ? shellWords(value) : value;

const listOf = (value: string | readonly string[]): readonly string[] =>
  typeof value === 'string' ? [value] : value;

class Steps {
  readonly steps: Step[] = [];

  /** One value for a flag. */
  set(flag: string, value: Scalar | undefined, ...path: FilePath): void {
    if (value === undefined) return;
    const setting = SETTINGS[flag];
    if (setting === undefined) throw new Error(`no setting is called ${flag}`);
    this.steps.push({ path, edit: (spec) => setting.edit(spec, String(value)) });
  }

  /** Many values for a flag; each with its own place. */
  add(flag: string, texts: readonly string[] | undefined, path: FilePath, isList = true): void {
    const list = LISTS[flag];
    if (list === undefined) throw new Error(`no list is called ${flag}`);
    for (const [at, text] of (texts ?? []).entries()) {
      const place = isList ? [...path, at] : path;
      this.steps.push({ path: place, edit: (spec) => list.add(spec, [text]) });
    }
  }

  pairs(flag: string, pairs: Pairs | undefined, key: string): void {
    if (pairs === undefined) return;
    if (Array.isArray(pairs)) this.add(flag, pairTexts(pairs), [key]);
    else {
      for (const [name, value] of Object.entries(pairs)) {
        this.add(flag, pairTexts({ [name]: value }), [key, name], false);
      }
    }
  }

  do(path: FilePath, edit: Step['edit']): void {
    this.steps.push({ path, edit });
  }
}

/** Every change that the service's keys ask for, in the order of the spec. */
export function stepsOf(shape: ServiceShape): readonly Step[] {
  const steps = new Steps();
  const { command, entrypoint } = shape;
  if (command !== undefined) {
    steps.do(['command'], (spec) => withContainer(spec, { args: wordsOf(command) }));
  }
  if (entrypoint !== undefined) {
    steps.do(['entrypoint'], (spec) => withContainer(spec, { command: wordsOf(entrypoint) }));
  }
  containerSteps(steps, shape);
  attachmentSteps(steps, shape);
  taskSteps(steps, shape);
  healthSteps(steps, shape);
  return steps.steps;
}

function containerSteps(steps: Steps, shape: ServiceShape): void {
  steps.set('replicas', shape.replicas, 'replicas');
  steps.set('max-concurrent', shape.max_concurrent, 'max_concurrent');
  steps.pairs('env', shape.environment, 'environment');
  steps.pairs('label', shape.labels, 'labels');
  steps.pairs('container-label', shape.container_labels, 'container_labels');
  steps.pairs('sysctl', shape.sysctls, 'sysctls');
  steps.set('hostname', shape.hostname, 'hostname');
  steps.set('user', shape.user, 'user');
  steps.set('workdir', shape.working_dir, 'working_dir');
  steps.set('stop-signal', shape.stop_signal, 'stop_signal');
  steps.set('stop-grace-period', shape.stop_grace_period, 'stop_grace_period');
  steps.set('tty', shape.tty, 'tty');
  steps.set('read-only', shape.read_only, 'read_only');
  steps.set('init', shape.init, 'init');
  steps.set('isolation', shape.isolation, 'isolation');
  steps.set('oom-score-adj', shape.oom_score_adj, 'oom_score_adj');
  for (const [key, flag] of [
    ['group_add', 'group'],
    ['cap_add', 'cap-add'],
    ['cap_drop', 'cap-drop'],
    ['extra_hosts', 'host'],
  ] as const) {
    steps.add(flag, shape[key]?.map(String), [key]);
  }
  for (const [key, flag] of [
    ['dns', 'dns'],
    ['dns_search', 'dns-search'],
    ['dns_opt', 'dns-option'],
  ] as const) {
    const value = shape[key];
    if (value !== undefined) steps.add(flag, listOf(value), [key], typeof value !== 'string');
  }
  for (const [name, limit] of Object.entries(shape.ulimits ?? {})) {
    const text =
      typeof limit === 'number' ? `${name}=${limit}` : `${name}=${limit.soft}:${limit.hard}`;
    steps.add('ulimit', [text], ['ulimits', name], false);
  }
}

function attachmentSteps(steps: Steps, shape: ServiceShape): void {
  const ports = shape.ports?.map((item) =>
    typeof item === 'object' ? fieldsText(item) : String(item),
  );
  steps.add('publish', ports, ['ports']);
  for (const kind of ['secret', 'config'] as const) {
    const references = shape[`${kind}s`]?.map((item) =>
      typeof item === 'string' ? item : fieldsText(item),
    );
    steps.add(kind, references, [`${kind}s`]);
  }
  for (const [at, item] of (shape.volumes ?? []).entries()) mountStep(steps, item, at);
  const { networks } = shape;
  if (networks === undefined) return;
  if (Array.isArray(networks)) steps.add('network', networks, ['networks']);
  else {
    for (const [name, options] of Object.entries(networks)) {
      const aliases = (options?.aliases ?? []).map((alias) => `,alias=${alias}`).join('');
      const driver = Object.entries(options?.driver_opts ?? {})
        .map(([key, value]) => `,driver-opt=${key}=${String(value)}`)
        .join('');
      steps.add('network', [`name=${name}${aliases}${driver}`], ['networks', name], false);
    }
  }
}

type MountShape = NonNullable<ServiceShape['volumes']>[number];

function mountStep(steps: Steps, item: MountShape, at: number): void {
  if (typeof item === 'string') {
    steps.do(['volumes', at], (spec) => {
      const mount = shortMountOf(item);
      const { runtime } = spec.task;
      const mounts = runtime?.case === 'container' ? runtime.value.mounts : [];
      return withContainer(spec, { mounts: [...mounts, mount] });
    });
    return;
  }
  const text = fieldsText({
    type: item.type,
    source: item.source,
    target: item.target,
    readonly: item.read_only,
    'bind-propagation': item.propagation,
    'volume-nocopy': item.nocopy,
    'volume-subpath': item.subpath,
    'volume-driver': item.driver,
    'tmpfs-size': item.size,
    'tmpfs-mode': item.mode,
  });
  steps.add('mount', [text], ['volumes', at], false);
}

const UPDATE_KEYS = [
  'parallelism',
  'delay',
  'monitor',
  'failure_action',
  'max_failure_ratio',
  'order',
] as const;

function taskSteps(steps: Steps, shape: ServiceShape): void {
  const { resources, restart } = shape;
  steps.set('limit-cpu', resources?.limits?.cpus, 'resources', 'limits', 'cpus');
  steps.set('limit-memory', resources?.limits?.memory, 'resources', 'limits', 'memory');
  steps.set('limit-pids', resources?.limits?.pids, 'resources', 'limits', 'pids');
  steps.set('reserve-cpu', resources?.reservations?.cpus, 'resources', 'reservations', 'cpus');
  steps.set(
    'reserve-memory',
    resources?.reservations?.memory,
    'resources',
    'reservations',
    'memory',
  );
  for (const [kind, count] of Object.entries(resources?.reservations?.generic ?? {})) {
    const path = ['resources', 'reservations', 'generic', kind];
    steps.add('generic-resource', [`${kind}=${count}`], path, false);
  }
  if (typeof restart === 'string') steps.set('restart-condition', restart, 'restart');
  else {
    steps.set('restart-condition', restart?.condition, 'restart', 'condition');
    steps.set('restart-delay', restart?.delay, 'restart', 'delay');
    steps.set('restart-max-attempts', restart?.max_attempts, 'restart', 'max_attempts');
    steps.set('restart-window', restart?.window, 'restart', 'window');
  }
  for (const part of ['update', 'rollback'] as const) {
    for (const key of UPDATE_KEYS) {
      steps.set(`${part}-${key.replaceAll('_', '-')}`, shape[part]?.[key], part, key);
    }
  }
  steps.add('constraint', shape.constraints?.map(String), ['constraints']);
  const spread = shape.spread === undefined ? [] : listOf(shape.spread);
  const preferences = spread.map((over) => `spread=${over}`);
  steps.add('placement-pref', preferences, ['spread'], typeof shape.spread !== 'string');
  steps.set('replicas-max-per-node', shape.max_replicas_per_node, 'max_replicas_per_node');
  steps.set('log-driver', shape.logging?.driver, 'logging', 'driver');
  const options = Object.entries(shape.logging?.options ?? {});
  for (const [key, value] of options) {
    steps.add('log-opt', [`${key}=${String(value)}`], ['logging', 'options', key], false);
  }
  steps.set('endpoint-mode', shape.endpoint_mode, 'endpoint_mode');
}

function healthSteps(steps: Steps, { healthcheck }: ServiceShape): void {
  if (healthcheck === undefined) return;
  const { test, disable } = healthcheck;
  if (typeof test === 'string') steps.set('health-cmd', test, 'healthcheck', 'test');
  else if (test !== undefined) {
    steps.do(['healthcheck', 'test'], (spec) => {
      if (!['CMD', 'CMD-SHELL', 'NONE'].includes(test[0] ?? '')) {
        throw new SyntaxProblem(
          'a list begins with CMD, CMD-SHELL or NONE, e.g. [CMD, curl, localhost]',
        );
      }
      return withHealth(spec, { test });
    });
  }
  if (disable === true) steps.set('no-healthcheck', true, 'healthcheck', 'disable');
  for (const key of ['interval', 'timeout', 'retries', 'start_period', 'start_interval'] as const) {
    steps.set(`health-${key.replaceAll('_', '-')}`, healthcheck[key], 'healthcheck', key);
  }
}
