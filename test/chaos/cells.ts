/**
 * What the clients read and write: named cells of one text each. A cell is a config, or a service whose
 * tasks follow its text; the text stands in a label, and every write names the version that it replaces.
 */
import type { ServiceClient } from '../../src/main/rpc/client.ts';
import type { Meta } from '../../src/shared/wire/gen/objects.ts';
import type { ServiceSpec } from '../../src/shared/wire/gen/specs.ts';
import type { Annotations } from '../../src/shared/wire/gen/types.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';

export type Control = ServiceClient<'Control'>;

/** What a cell holds, and which object it is at present. */
export type Content = { readonly id: string; readonly version: number; readonly text: string };

/** For one answer: longer than a manager waits for a leader would only hold the client up. */
const CALL = { timeoutMs: 5000 } as const;
/** For a list of everything. */
const LIST = { timeoutMs: 15_000 } as const;

type Shelf = {
  readonly read: (control: Control, name: string) => Promise<Content | null>;
  readonly create: (control: Control, name: string, text: string) => Promise<Content>;
  readonly update: (control: Control, name: string, to: Replacement) => Promise<Content>;
  readonly remove: (control: Control, id: string) => Promise<void>;
  /** All cells that are there, by name. */
  readonly all: (control: Control) => Promise<ReadonlyMap<string, Content>>;
};

export type Replacement = { readonly before: Content; readonly text: string };

type Stored = {
  readonly id: string;
  readonly meta: Meta;
  readonly spec: { readonly annotations: Annotations };
};

function contentOf(object: Stored | undefined): Content {
  if (object === undefined) throw new Error('an answer without its object');
  const { annotations } = object.spec;
  return {
    id: object.id,
    version: object.meta.version.index,
    text: annotations.labels['text'] ?? '',
  };
}

const byName = (objects: readonly Stored[]): ReadonlyMap<string, Content> =>
  new Map(objects.map((object) => [object.spec.annotations.name, contentOf(object)]));

/** The one of this name. @throws Error when there are two. */
function only(objects: readonly Stored[]): Content | null {
  const [object, ...others] = objects;
  if (others.length > 0) throw new Error(`two objects are named ${nameOf(object)}`);
  return object === undefined ? null : contentOf(object);
}

const nameOf = (object: Stored | undefined): string => object?.spec.annotations.name ?? '';

const versionOf = ({ version }: Content) => ({ index: version });

const configSpec = (name: string, text: string) => ({
  annotations: { name, labels: { text } },
  data: Buffer.from(name),
});

const CONFIGS: Shelf = {
  read: async (control, name) =>
    only((await control.ListConfigs({ filters: { names: [name] } }, CALL)).configs),
  create: async (control, name, text) =>
    contentOf((await control.CreateConfig({ spec: configSpec(name, text) }, CALL)).config),
  update: async (control, name, { before, text }) => {
    const request = { configId: before.id, configVersion: versionOf(before) };
    const spec = configSpec(name, text);
    return contentOf((await control.UpdateConfig({ ...request, spec }, CALL)).config);
  },
  remove: async (control, configId) => void (await control.RemoveConfig({ configId }, CALL)),
  all: async (control) => byName((await control.ListConfigs({}, LIST)).configs),
};

/** One task at most: there are many of these services, and each write replaces their tasks. */
function serviceSpec(name: string, text: string): Init<ServiceSpec> {
  return {
    annotations: { name, labels: { text } },
    task: { runtime: { case: 'container', value: { image: `image:${text}` } } },
    mode: { case: 'replicated', value: { replicas: text.endsWith('0') ? 0n : 1n } },
  };
}

const SERVICES: Shelf = {
  read: async (control, name) =>
    only((await control.ListServices({ filters: { names: [name] } }, CALL)).services),
  create: async (control, name, text) =>
    contentOf((await control.CreateService({ spec: serviceSpec(name, text) }, CALL)).service),
  update: async (control, name, { before, text }) => {
    const request = { serviceId: before.id, serviceVersion: versionOf(before) };
    const spec = serviceSpec(name, text);
    return contentOf((await control.UpdateService({ ...request, spec }, CALL)).service);
  },
  remove: async (control, serviceId) => void (await control.RemoveService({ serviceId }, CALL)),
  all: async (control) => byName((await control.ListServices({}, LIST)).services),
};

/** The kind of a cell stands in its name. */
export const shelfOf = (name: string): Shelf => (name.startsWith('service-') ? SERVICES : CONFIGS);

/** Every cell that a manager knows; other objects have other names. */
export async function allCells(control: Control): Promise<ReadonlyMap<string, Content>> {
  const all = [...(await CONFIGS.all(control)), ...(await SERVICES.all(control))];
  return new Map(all.filter(([name]) => /^(?:config|service)-/.test(name)));
}

/** The cells of one generation, for which the clients contend; later there are others. */
export const contended = (generation: number): readonly string[] =>
  Array.from({ length: 12 }, (_, i) => `${i % 3 === 0 ? 'service' : 'config'}-${i}-${generation}`);
