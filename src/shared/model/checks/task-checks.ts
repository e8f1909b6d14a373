/** Checks of what every task has, whatever runs it: resources, restarts, placement, the runtime. */
import { goFloat, goQuote } from '../../kit/go-text.ts';
import type { GenericRuntimeSpec, TaskSpec } from '../../wire/gen/specs.ts';
import type { GenericResource, Resources, RestartPolicy } from '../../wire/gen/types.ts';
import { parseConstraints } from '../constraints.ts';
import {
  configReferenceProblems,
  containerProblems,
  secretReferenceProblems,
  type ServiceWords,
} from './container-checks.ts';
import { invalid, notNegative, type Path, type Problem, type Problems } from './problem.ts';

const NANO_CPUS_MIN = 1e6;
const MEMORY_BYTES_MIN = 4 << 20;
const KIND_LENGTH_MIN = 3;
const RESERVED_KINDS: ReadonlySet<string> = new Set(['container', 'attachment']);

/** All that is wrong with the task part of a service, in SwarmKit's order. */
export function* taskProblems(path: Path, task: TaskSpec, service: ServiceWords): Problems {
  const { limits, reservations } = task.resources ?? {};
  yield* amountProblems([...path, 'resources', 'limits'], limits);
  yield* amountProblems([...path, 'resources', 'reservations'], reservations);
  yield* genericProblems([...path, 'resources', 'reservations', 'generic'], reservations);
  yield* restartProblems([...path, 'restart'], task.restart);
  yield* constraintProblems([...path, 'placement', 'constraints'], task);
  if (task.runtime?.case === 'container') {
    const container = [...path, 'runtime', 'container'];
    yield* secretReferenceProblems(container, task.runtime.value);
    yield* configReferenceProblems(container, task.runtime.value);
  }
  yield* runtimeProblems([...path, 'runtime'], task, service);
}

function* amountProblems(path: Path, amounts: Resources | undefined): Problems {
  if (amounts === undefined) return;
  const { nanoCpus, memoryBytes } = amounts;
  if (nanoCpus !== 0 && nanoCpus < NANO_CPUS_MIN) {
    const [given, least] = [goFloat(nanoCpus / 1e9), goFloat(NANO_CPUS_MIN / 1e9)];
    yield invalid([...path, 'nanoCpus'], `invalid cpu value ${given}: Must be at least ${least}`);
  }
  if (memoryBytes !== 0 && memoryBytes < MEMORY_BYTES_MIN) {
    yield invalid(
      [...path, 'memoryBytes'],
      `invalid memory value ${memoryBytes}: Must be at least 4MiB`,
    );
  }
}

/** SwarmKit lets all of these through, and then no node ever fits. */
function* genericProblems(path: Path, reservations: Resources | undefined): Problems {
  for (const [index, { resource }] of (reservations?.generic ?? []).entries()) {
    const problem = genericProblem([...path, index], resource);
    if (problem !== undefined) yield problem;
  }
}

function genericProblem(path: Path, resource: GenericResource['resource']): Problem | undefined {
  if (resource === undefined) {
    return invalid(path, 'invalid argument for resource: it has neither a kind nor a count');
  }
  const { kind } = resource.value;
  if (kind === '') return invalid(path, 'invalid argument for resource: its kind is missing');
  if (resource.case === 'namedResourceSpec') {
    return invalid(
      path,
      `invalid argument for resource ${kind}: a reservation names a count, not a single resource`,
    );
  }
  if (resource.value.value >= 0) return undefined;
  return invalid(path, `invalid argument for resource ${kind}: the count cannot be negative`);
}

function* restartProblems(path: Path, policy: RestartPolicy | undefined): Problems {
  if (policy === undefined) return;
  const { delay, window } = policy;
  yield* notNegative([...path, 'delay'], delay, 'TaskSpec: restart-delay cannot be negative');
  yield* notNegative([...path, 'window'], window, 'TaskSpec: restart-window cannot be negative');
}

function* constraintProblems(path: Path, task: TaskSpec): Problems {
  for (const [index, expression] of (task.placement?.constraints ?? []).entries()) {
    const parsed = parseConstraints([expression]);
    // A plain error in SwarmKit, which travels as Unknown.
    if (!parsed.ok) yield { code: 'UNKNOWN', path: [...path, index], text: parsed.error };
  }
}

function* runtimeProblems(path: Path, task: TaskSpec, service: ServiceWords): Problems {
  switch (task.runtime?.case) {
    case undefined:
      yield invalid(path, 'TaskSpec: missing runtime');
      return;
    case 'attachment':
      yield {
        code: 'UNIMPLEMENTED',
        path: [...path, 'attachment'],
        text: 'RuntimeSpec: unimplemented runtime in service spec',
      };
      return;
    case 'container':
      yield* containerProblems([...path, 'container'], task, service);
      return;
    case 'generic':
      yield* genericRuntimeProblems([...path, 'generic'], task.runtime.value);
  }
}

function* genericRuntimeProblems(path: Path, generic: GenericRuntimeSpec): Problems {
  const { kind, payload } = generic;
  if (kind.length < KIND_LENGTH_MIN) {
    yield invalid([...path, 'kind'], `Generic runtime: Invalid name ${goQuote(kind)}`);
  }
  if (RESERVED_KINDS.has(kind.toLowerCase())) {
    yield invalid([...path, 'kind'], `Generic runtime: ${goQuote(kind)} is a reserved name`);
  }
  if (payload === undefined) {
    yield invalid([...path, 'payload'], 'Generic runtime is missing payload');
    return;
  }
  if (payload.typeUrl === '') {
    yield invalid([...path, 'payload', 'typeUrl'], 'Generic runtime is missing payload type');
  }
  if (payload.value.length === 0) {
    yield invalid([...path, 'payload', 'value'], 'Generic runtime has an empty payload');
  }
}
