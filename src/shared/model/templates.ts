/**
 * Templates in container specs and in the payloads of secrets and configs (behaviour rule 11.5).
 *
 * The control API expands a spec once at create, with a made-up task, to refuse bad fields; the
 * worker expands it for each task. In a spec, templates stand in the values of environment variables,
 * in mounts, and in the host name.
 */
import type { Config, Secret, Task } from '../wire/gen/objects.ts';
import type { ContainerSpec } from '../wire/gen/specs.ts';
import type { Driver, Mount, Platform } from '../wire/gen/types.ts';
import { taskName } from './names.ts';
import {
  expandTemplate,
  TemplateError,
  type TemplateFunction,
  type TemplateMap,
  type TemplateRecord,
  type TemplateValue,
} from './template-text.ts';

/** What is known of the node that a template is expanded on. */
export type TemplateNode = {
  readonly hostname: string;
  readonly platform: Pick<Platform, 'architecture' | 'os'> | undefined;
};

/** The root of a task's templates: `.Service`, `.Node`, `.Task`. */
export function templateContext(task: Task, node: TemplateNode): TemplateRecord {
  const slot = task.slot === 0 ? task.nodeId : String(task.slot);
  const service = task.serviceAnnotations;
  return record('', {
    Service: record('.Service', {
      ID: task.serviceId,
      Name: service.name,
      Labels: { kind: 'map', entries: service.labels } satisfies TemplateMap,
    }),
    Node: record('.Node', {
      ID: task.nodeId,
      Hostname: node.hostname,
      Platform: record('.Node.Platform', {
        Architecture: node.platform?.architecture ?? '',
        OS: node.platform?.os ?? '',
      }),
    }),
    Task: record('.Task', {
      ID: task.id,
      Name: taskName(task),
      Slot: slot,
    }),
  });
}

function record(path: string, fields: Readonly<Record<string, TemplateValue>>): TemplateRecord {
  return { kind: 'record', path, fields };
}

/**
 * The spec with its templates expanded.
 *
 * @throws TemplateError `expanding env failed: …`, `expanding mounts failed: …` or
 *   `expanding hostname failed: …`
 */
export function expandContainerSpec(spec: ContainerSpec, context: TemplateRecord): ContainerSpec {
  const expand = (text: string): string => expandTemplate(text, context);
  return {
    ...spec,
    env: wrapped('expanding env failed', () => spec.env.map((entry) => expandEnv(entry, expand))),
    mounts: wrapped('expanding mounts failed', () =>
      spec.mounts.map((mount) => expandMount(mount, expand)),
    ),
    hostname: wrapped('expanding hostname failed', () => expand(spec.hostname)),
  };
}

/** The templates among the values; a key is never a template. */
function expandEnv(entry: string, expand: (text: string) => string): string {
  const end = entry.indexOf('=');
  return end < 0 ? entry : entry.slice(0, end + 1) + expand(entry.slice(end + 1));
}

function expandMount(mount: Mount, expand: (text: string) => string): Mount {
  const values = (map: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(Object.entries(map).map(([key, value]) => [key, expand(value)]));
  const options = mount.volumeOptions;
  const driver = options?.driverConfig;
  return {
    ...mount,
    source: expand(mount.source),
    target: expand(mount.target),
    volumeOptions: options && {
      ...options,
      labels: values(options.labels),
      driverConfig: driver && { ...driver, options: values(driver.options) },
    },
  };
}

function wrapped<T>(prefix: string, expand: () => T): T {
  try {
    return expand();
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw new TemplateError(`${prefix}: ${error.message}`, { cause: error });
  }
}

/** What a payload's template may look up among the task's own references. */
export type PayloadSources = {
  readonly context: TemplateRecord;
  /** The task's spec, with its environment expanded. */
  readonly spec: ContainerSpec;
  /** Throws when the task may not see it or it is not there. */
  readonly secret: (id: string) => Secret;
  readonly config: (id: string) => Config;
};

export type ExpandedPayload = {
  readonly data: Uint8Array;
  /** A config that drew in a secret: to be kept as a secret is. */
  readonly sensitive: boolean;
};

/** The driver name of a templated payload. */
const TEMPLATING = 'golang';

/**
 * The payload of a secret or config for one task. Without a templating driver it is the data as
 * stored.
 *
 * @param what how errors name it, e.g. `secret db`
 * @throws TemplateError `failed to expand templated <what>: …`
 */
export function expandPayload(
  what: string,
  payload: { readonly data: Uint8Array; readonly templating: Driver | undefined },
  sources: PayloadSources,
): ExpandedPayload {
  const { data, templating } = payload;
  if (templating === undefined) return { data, sensitive: false };
  return wrapped(`failed to expand templated ${what}`, () => {
    if (templating.name !== TEMPLATING) throw new TemplateError('unrecognized template type');
    let sensitive = false;
    const functions = payloadFunctions(sources, () => (sensitive = true));
    const expanded = expandTemplate(text(data), sources.context, functions);
    return { data: Buffer.from(expanded, 'utf8'), sensitive };
  });
}

const text = (data: Uint8Array): string => Buffer.from(data).toString('utf8');

const target = (value: TemplateValue | undefined): string =>
  typeof value === 'object' ? value.kind : String(value);

function payloadFunctions(
  { spec, secret, config }: PayloadSources,
  tookSecret: () => void,
): Readonly<Record<string, TemplateFunction>> {
  return {
    secret: (name) => {
      const found = spec.secrets.find((reference) => reference.target?.value.name === name);
      if (found === undefined) throw new TemplateError(`secret target ${target(name)} not found`);
      tookSecret();
      return text(secret(found.secretId).spec.data);
    },
    config: (name) => {
      const found = spec.configs.find(
        (reference) => reference.target?.case === 'file' && reference.target.value.name === name,
      );
      if (found === undefined) throw new TemplateError(`config target ${target(name)} not found`);
      return text(config(found.configId).spec.data);
    },
    env: (name) => {
      const prefix = `${target(name)}=`;
      return spec.env.find((entry) => entry.startsWith(prefix))?.slice(prefix.length) ?? '';
    },
  };
}
