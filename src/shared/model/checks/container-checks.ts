/** Checks of a container spec: its secrets and configs, templates, image, mounts and health check. */
import { goQuote } from '../../kit/go-text.ts';
import { Task } from '../../wire/gen/objects.ts';
import type { ContainerSpec, TaskSpec } from '../../wire/gen/specs.ts';
import type { Mount } from '../../wire/gen/types.ts';
import type { Duration } from '../../wire/gen/well-known.ts';
import { parseImageReference } from '../image-reference.ts';
import { TemplateError } from '../template-text.ts';
import { expandContainerSpec, templateContext } from '../templates.ts';
import {
  invalid,
  malformedSpan,
  type Path,
  type Problem,
  type Problems,
  spanNanos,
} from './problem.ts';

/** What is known of the service around a task spec, for its templates. */
export type ServiceWords = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
};

const HEALTH_SPAN_MIN_NANOS = 1_000_000n;

/** One reference, of a secret or of a config. */
type Reference = {
  readonly id: string;
  readonly name: string;
  readonly target: 'file' | 'runtime' | undefined;
  readonly file: string;
};

/** What is wrong with the references to secrets, at `path` of the container spec. */
export function* secretReferenceProblems(path: Path, container: ContainerSpec): Problems {
  const references = container.secrets.map((reference): Reference => ({
    id: reference.secretId,
    name: reference.secretName,
    target: reference.target?.case,
    file: reference.target?.value.name ?? '',
  }));
  yield* referenceProblems([...path, 'secrets'], 'secret', references);
}

/** What is wrong with the references to configs, and with a credential spec kept in one. */
export function* configReferenceProblems(path: Path, container: ContainerSpec): Problems {
  const references = container.configs.map((reference): Reference => ({
    id: reference.configId,
    name: reference.configName,
    target: reference.target?.case,
    file: reference.target?.case === 'file' ? reference.target.value.name : '',
  }));
  yield* referenceProblems([...path, 'configs'], 'config', references);
  const source = container.privileges?.credentialSpec?.source;
  if (source?.case !== 'config') return;
  if (references.some(({ id, target }) => target === 'runtime' && id === source.value)) return;
  yield invalid(
    [...path, 'privileges', 'credentialSpec', 'config'],
    `CredentialSpec references config '${source.value}', but that config isn't in config references with RuntimeTarget`,
  );
}

function* referenceProblems(
  path: Path,
  kind: 'secret' | 'config',
  references: readonly Reference[],
): Problems {
  const ownerOfFile = new Map<string, string>();
  for (const [index, reference] of references.entries()) {
    const malformed = malformedReference([...path, index], kind, reference);
    if (malformed !== undefined) {
      yield malformed;
      continue;
    }
    if (reference.target !== 'file') continue;
    const { file, name } = reference;
    const other = ownerOfFile.get(file);
    if (other !== undefined) {
      yield invalid(
        [...path, index],
        `${kind} references '${other}' and '${name}' have a conflicting target: '${file}'`,
      );
    }
    ownerOfFile.set(file, name);
  }
}

function malformedReference(path: Path, kind: string, reference: Reference): Problem | undefined {
  const { id, name, target, file } = reference;
  if (id === '' || name === '') return invalid(path, `malformed ${kind} reference`);
  if (target === undefined) {
    return invalid(path, `malformed ${kind} reference, no target provided`);
  }
  if (target !== 'file' || file !== '') return undefined;
  return invalid(path, `malformed file ${kind} reference, invalid target file name provided`);
}

/**
 * What is wrong with the container spec itself. Templates are expanded as for a first task, so that
 * what they give is checked too.
 */
export function* containerProblems(path: Path, task: TaskSpec, service: ServiceWords): Problems {
  if (task.runtime?.case !== 'container') return;
  const container = task.runtime.value;
  const expanded = expand(container, task, service);
  if (expanded instanceof TemplateError) yield invalid(path, expanded.message);
  yield* imageProblems([...path, 'image'], container.image);
  const { mounts } = expanded instanceof TemplateError ? container : expanded;
  yield* mountProblems([...path, 'mounts'], mounts);
  yield* healthProblems([...path, 'healthcheck'], container);
}

function expand(
  container: ContainerSpec,
  spec: TaskSpec,
  service: ServiceWords,
): ContainerSpec | TemplateError {
  const serviceAnnotations = { name: service.name, labels: service.labels };
  const task = Task.create({
    id: 'taskid',
    serviceId: 'serviceid',
    nodeId: 'nodeid',
    slot: 1,
    annotations: { name: 'taskname' },
    serviceAnnotations,
    spec,
  });
  const node = { hostname: 'hostname', platform: { os: 'os', architecture: 'architecture' } };
  try {
    return expandContainerSpec(container, templateContext(task, node));
  } catch (error) {
    if (error instanceof TemplateError) return error;
    throw error;
  }
}

function* imageProblems(path: Path, image: string): Problems {
  if (image === '') {
    yield invalid(path, 'ContainerSpec: image reference must be provided');
  } else if (parseImageReference(image) === undefined) {
    yield invalid(path, `ContainerSpec: ${goQuote(image)} is not a valid repository/tag`);
  }
}

function* mountProblems(path: Path, mounts: readonly Mount[]): Problems {
  const targets = new Set<string>();
  for (const [index, { target }] of mounts.entries()) {
    if (targets.has(target)) {
      yield invalid([...path, index], `ContainerSpec: duplicate mount point: ${target}`);
    }
    targets.add(target);
  }
}

function* healthProblems(path: Path, { healthcheck: health }: ContainerSpec): Problems {
  if (health === undefined) return;
  yield* healthSpan([...path, 'interval'], 'Interval', health.interval);
  yield* healthSpan([...path, 'timeout'], 'Timeout', health.timeout);
  yield* healthSpan([...path, 'startPeriod'], 'StartPeriod', health.startPeriod);
  yield* healthSpan([...path, 'startInterval'], 'StartInterval', health.startInterval);
  if (health.retries < 0) {
    yield invalid(
      [...path, 'retries'],
      'ContainerSpec: Retries in HealthConfig cannot be negative',
    );
  }
}

function* healthSpan(path: Path, field: string, span: Duration | undefined): Problems {
  if (span === undefined) return;
  const nanos = spanNanos(span);
  if (nanos === undefined) yield malformedSpan(path, span);
  else if (nanos !== 0n && nanos < HEALTH_SPAN_MIN_NANOS) {
    yield invalid(path, `ContainerSpec: ${field} in HealthConfig cannot be less than 1ms`);
  }
}
