/** All checks of a service spec that need nothing but the spec itself (behaviour rule 9.2). */
import {
  EndpointSpecResolutionMode,
  type EndpointSpec,
  type ServiceSpec,
} from '../../wire/gen/specs.ts';
import { PortConfigPublishMode, type UpdateConfig } from '../../wire/gen/types.ts';
import { labelNameProblems } from './name-checks.ts';
import { invalid, notNegative, type Path, type Problems } from './problem.ts';
import { taskProblems } from './task-checks.ts';

/** First count that a signed 64-bit integer cannot hold. */
const COUNT_LIMIT = 1n << 63n;
const PORT_MAX = 65_535;

/** All that is wrong with the spec, in SwarmKit's order. */
export function* serviceProblems(spec: ServiceSpec): Problems {
  yield* labelNameProblems(['annotations', 'name'], spec.annotations.name);
  yield* taskProblems(['task'], spec.task, spec.annotations);
  yield* modeProblems(['mode'], spec);
  yield* updateProblems(['update'], spec.update);
  yield* endpointProblems(['endpoint'], spec.endpoint);
}

/** Whether the service's tasks are to run to an end. */
export function isJob({ mode }: Pick<ServiceSpec, 'mode'>): boolean {
  return mode?.case === 'replicatedJob' || mode?.case === 'globalJob';
}

function* modeProblems(path: Path, spec: ServiceSpec): Problems {
  const { mode } = spec;
  if (mode === undefined) yield invalid(path, 'Unrecognized service mode');
  if (mode?.case === 'replicated' && mode.value.replicas >= COUNT_LIMIT) {
    yield invalid([...path, 'replicated', 'replicas'], 'Number of replicas must be non-negative');
  }
  if (mode?.case === 'replicatedJob') {
    if (mode.value.maxConcurrent >= COUNT_LIMIT) {
      yield invalid(
        [...path, 'replicatedJob', 'maxConcurrent'],
        'Maximum concurrent jobs must not be negative',
      );
    }
    if (mode.value.totalCompletions >= COUNT_LIMIT) {
      yield invalid(
        [...path, 'replicatedJob', 'totalCompletions'],
        'Total completed jobs must not be negative',
      );
    }
  }
  if (isJob(spec) && spec.update !== undefined) {
    yield invalid(['update'], 'Jobs may not have an update config');
  }
}

function* updateProblems(path: Path, update: UpdateConfig | undefined): Problems {
  if (update === undefined) return;
  const { delay, monitor, maxFailureRatio } = update;
  yield* notNegative([...path, 'delay'], delay, 'TaskSpec: update-delay cannot be negative');
  yield* notNegative([...path, 'monitor'], monitor, 'TaskSpec: update-monitor cannot be negative');
  if (!(maxFailureRatio >= 0 && maxFailureRatio <= 1)) {
    yield invalid(
      [...path, 'maxFailureRatio'],
      'TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1',
    );
  }
}

function* endpointProblems(path: Path, endpoint: EndpointSpec | undefined): Problems {
  if (endpoint === undefined) return;
  const taken = new Set<string>();
  for (const [index, port] of endpoint.ports.entries()) {
    const at = [...path, 'ports', index];
    if (
      endpoint.mode === EndpointSpecResolutionMode.DNSRR &&
      port.publishMode === PortConfigPublishMode.INGRESS
    ) {
      yield invalid(
        at,
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
      );
    }
    const key = `${port.protocol}/${port.publishedPort}`;
    if (port.publishedPort !== 0 && taken.has(key)) {
      yield invalid(at, 'EndpointSpec: duplicate published ports provided');
    }
    taken.add(key);
    if (Math.max(port.publishedPort, port.targetPort) > PORT_MAX) {
      yield invalid(at, `EndpointSpec: port numbers end at ${PORT_MAX}`);
    }
  }
}
