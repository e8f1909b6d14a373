/** Flags of a service that hold one value: what each one changes in the spec. */
import {
  ContainerSpecIsolation,
  EndpointSpecResolutionMode,
  type ServiceSpec,
} from '../../../shared/wire/gen/specs.ts';
import {
  RestartPolicyRestartCondition,
  UpdateConfigFailureAction,
  UpdateConfigUpdateOrder,
} from '../../../shared/wire/gen/types.ts';
import { booleanOf, integerOf, SyntaxProblem, wordOf } from '../syntax/problem.ts';
import { bytesOf, durationOf, nanoCpusOf } from '../syntax/quantities.ts';
import { shellWords } from '../syntax/words.ts';
import {
  withContainer,
  withEndpoint,
  withHealth,
  withLogDriver,
  withPlacement,
  withResources,
  withRestart,
  withUpdate,
} from './edit.ts';

export type Setting = {
  readonly about: string;
  /** Takes no value. */
  readonly isSwitch?: true;
  readonly char?: 'l' | 'w' | 'u' | 't';
  readonly edit: (spec: ServiceSpec, value: string) => ServiceSpec;
};

export const RESTART_CONDITIONS = {
  none: RestartPolicyRestartCondition.NONE,
  'on-failure': RestartPolicyRestartCondition.ON_FAILURE,
  any: RestartPolicyRestartCondition.ANY,
} as const;
export const FAILURE_ACTIONS = {
  pause: UpdateConfigFailureAction.PAUSE,
  continue: UpdateConfigFailureAction.CONTINUE,
  rollback: UpdateConfigFailureAction.ROLLBACK,
} as const;
export const UPDATE_ORDERS = {
  'stop-first': UpdateConfigUpdateOrder.STOP_FIRST,
  'start-first': UpdateConfigUpdateOrder.START_FIRST,
} as const;
export const ENDPOINT_MODES = {
  vip: EndpointSpecResolutionMode.VIP,
  dnsrr: EndpointSpecResolutionMode.DNSRR,
} as const;
const ISOLATIONS = {
  default: ContainerSpecIsolation.ISOLATION_DEFAULT,
  process: ContainerSpecIsolation.ISOLATION_PROCESS,
  hyperv: ContainerSpecIsolation.ISOLATION_HYPERV,
} as const;

const COUNT_MAX = 2 ** 32 - 1;

export function ratioOf(text: string): number {
  const ratio = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(ratio >= 0 && ratio <= 1)) {
    throw new SyntaxProblem(`"${text}" is not a share from 0 to 1; write e.g. 0.25`);
  }
  return ratio;
}

/** @throws SyntaxProblem for a service that runs on every node */
export function withReplicas(spec: ServiceSpec, text: string): ServiceSpec {
  const replicas = BigInt(integerOf(text));
  if (spec.mode?.case === 'replicated') {
    return { ...spec, mode: { case: 'replicated', value: { replicas } } };
  }
  if (spec.mode?.case === 'replicatedJob') {
    const value = { ...spec.mode.value, totalCompletions: replicas };
    return { ...spec, mode: { case: 'replicatedJob', value } };
  }
  throw new SyntaxProblem('replicas can only be given in mode replicated or replicated-job');
}

function withMaxConcurrent(spec: ServiceSpec, text: string): ServiceSpec {
  if (spec.mode?.case !== 'replicatedJob') {
    throw new SyntaxProblem(
      'only a service in mode replicated-job has a maximum of concurrent tasks',
    );
  }
  const value = { ...spec.mode.value, maxConcurrent: BigInt(integerOf(text, 1)) };
  return { ...spec, mode: { case: 'replicatedJob', value } };
}

function updateSettings(part: 'update' | 'rollback'): Readonly<Record<string, Setting>> {
  return {
    [`${part}-parallelism`]: {
      about: `tasks that ${part === 'update' ? 'an update' : 'a rollback'} replaces at once; 0 for all`,
      edit: (spec, v) => withUpdate(spec, part, { parallelism: integerOf(v, 0, COUNT_MAX) }),
    },
    [`${part}-delay`]: {
      about: 'pause between two of them, e.g. 10s',
      edit: (spec, v) => withUpdate(spec, part, { delay: durationOf(v) }),
    },
    [`${part}-monitor`]: {
      about: 'how long a new task is watched for failure',
      edit: (spec, v) => withUpdate(spec, part, { monitor: durationOf(v) }),
    },
    [`${part}-failure-action`]: {
      about: `what happens then: pause, continue${part === 'update' ? ', rollback' : ''}`,
      edit: (spec, v) =>
        withUpdate(spec, part, { failureAction: wordOf(FAILURE_ACTIONS, v, 'an action') }),
    },
    [`${part}-max-failure-ratio`]: {
      about: 'share of tasks that may fail',
      edit: (spec, v) => withUpdate(spec, part, { maxFailureRatio: ratioOf(v) }),
    },
    [`${part}-order`]: {
      about: 'stop-first or start-first',
      edit: (spec, v) => withUpdate(spec, part, { order: wordOf(UPDATE_ORDERS, v, 'an order') }),
    },
  };
}

const container: Readonly<Record<string, Setting>> = {
  entrypoint: {
    about: "command instead of the image's own",
    edit: (spec, v) => withContainer(spec, { command: shellWords(v) }),
  },
  hostname: { about: 'host name inside', edit: (spec, v) => withContainer(spec, { hostname: v }) },
  workdir: {
    about: 'working directory inside',
    char: 'w',
    edit: (spec, v) => withContainer(spec, { dir: v }),
  },
  user: {
    about: 'user or uid, with :group or :gid',
    char: 'u',
    edit: (spec, v) => withContainer(spec, { user: v }),
  },
  'stop-signal': {
    about: 'signal that asks a task to end',
    edit: (spec, v) => withContainer(spec, { stopSignal: v }),
  },
  'stop-grace-period': {
    about: 'time to end before it is killed',
    edit: (spec, v) => withContainer(spec, { stopGracePeriod: durationOf(v) }),
  },
  tty: {
    about: 'give it a terminal',
    char: 't',
    isSwitch: true,
    edit: (spec, v) => withContainer(spec, { tty: booleanOf(v) }),
  },
  'read-only': {
    about: 'a root file system that cannot be written',
    isSwitch: true,
    edit: (spec, v) => withContainer(spec, { readOnly: booleanOf(v) }),
  },
  init: {
    about: 'run an init that reaps and forwards signals',
    isSwitch: true,
    edit: (spec, v) => withContainer(spec, { init: { value: booleanOf(v) } }),
  },
  isolation: {
    about: 'default, process or hyperv (Windows)',
    edit: (spec, v) => withContainer(spec, { isolation: wordOf(ISOLATIONS, v, 'an isolation') }),
  },
  'oom-score-adj': {
    about: 'from -1000 to 1000',
    edit: (spec, v) => withContainer(spec, { oomScoreAdj: integerOf(v, -1000, 1000) }),
  },
  'limit-pids': {
    about: 'most processes; 0 for no limit',
    edit: (spec, v) => withContainer(spec, { pidsLimit: integerOf(v) }),
  },
  'health-cmd': {
    about: 'command that tells whether a task is healthy',
    edit: (spec, v) => withHealth(spec, { test: ['CMD-SHELL', v] }),
  },
  'no-healthcheck': {
    about: "leave out the image's own health check",
    isSwitch: true,
    edit: (spec, v) => withHealth(spec, { test: booleanOf(v) ? ['NONE'] : [] }),
  },
  'health-interval': {
    about: 'time between two checks',
    edit: (spec, v) => withHealth(spec, { interval: durationOf(v) }),
  },
  'health-timeout': {
    about: 'longest a check may take',
    edit: (spec, v) => withHealth(spec, { timeout: durationOf(v) }),
  },
  'health-retries': {
    about: 'failures in a row that make it unhealthy',
    edit: (spec, v) => withHealth(spec, { retries: integerOf(v, 0, COUNT_MAX) }),
  },
  'health-start-period': {
    about: 'time to start before failures count',
    edit: (spec, v) => withHealth(spec, { startPeriod: durationOf(v) }),
  },
  'health-start-interval': {
    about: 'time between two checks while it starts',
    edit: (spec, v) => withHealth(spec, { startInterval: durationOf(v) }),
  },
};

const task: Readonly<Record<string, Setting>> = {
  'limit-cpu': {
    about: 'most processors, e.g. 0.5',
    edit: (spec, v) => withResources(spec, 'limits', { nanoCpus: nanoCpusOf(v) }),
  },
  'limit-memory': {
    about: 'most memory, e.g. 256m',
    edit: (spec, v) => withResources(spec, 'limits', { memoryBytes: bytesOf(v) }),
  },
  'reserve-cpu': {
    about: 'processors kept for each task',
    edit: (spec, v) => withResources(spec, 'reservations', { nanoCpus: nanoCpusOf(v) }),
  },
  'reserve-memory': {
    about: 'memory kept for each task',
    edit: (spec, v) => withResources(spec, 'reservations', { memoryBytes: bytesOf(v) }),
  },
  'restart-condition': {
    about: 'none, on-failure or any',
    edit: (spec, v) =>
      withRestart(spec, { condition: wordOf(RESTART_CONDITIONS, v, 'a restart condition') }),
  },
  'restart-delay': {
    about: 'pause before a restart',
    edit: (spec, v) => withRestart(spec, { delay: durationOf(v) }),
  },
  'restart-max-attempts': {
    about: 'most restarts; 0 for no limit',
    edit: (spec, v) => withRestart(spec, { maxAttempts: integerOf(v) }),
  },
  'restart-window': {
    about: 'time in which those are counted',
    edit: (spec, v) => withRestart(spec, { window: durationOf(v) }),
  },
  'replicas-max-per-node': {
    about: 'most tasks on one node; 0 for no limit',
    edit: (spec, v) => withPlacement(spec, { maxReplicas: integerOf(v) }),
  },
  'log-driver': {
    about: 'where output goes',
    edit: (spec, v) => withLogDriver(spec, { name: v }),
  },
};

/** Every such flag that both create and update have. */
export const SETTINGS: Readonly<Record<string, Setting>> = {
  replicas: { about: 'number of tasks', edit: withReplicas },
  'max-concurrent': { about: 'most tasks of a job at once', edit: withMaxConcurrent },
  'endpoint-mode': {
    about: 'vip or dnsrr',
    edit: (spec, v) => withEndpoint(spec, { mode: wordOf(ENDPOINT_MODES, v, 'an endpoint mode') }),
  },
  ...container,
  ...task,
  ...updateSettings('update'),
  ...updateSettings('rollback'),
};
