/** Flags of a service that hold many values: what is read, where it stands, and what makes two the same. */
import type { ServiceSpec } from '../../../shared/wire/gen/specs.ts';
import { Placement, Resources } from '../../../shared/wire/gen/types.ts';
import {
  capabilityOf,
  environmentOf,
  hostOf,
  preferenceOf,
  reservedResourceOf,
  ulimitOf,
} from '../syntax/container-settings.ts';
import { pairOf } from '../syntax/fields.ts';
import { mountOf } from '../syntax/mounts.ts';
import { portsOf, PROTOCOLS } from '../syntax/ports.ts';
import { configReferenceOf, networkReferenceOf, secretReferenceOf } from '../syntax/references.ts';
import {
  containerOf,
  withContainer,
  withEndpoint,
  withLogDriver,
  withPlacement,
  withResources,
  withTask,
} from './edit.ts';

type Lists<Item> = {
  readonly about: string;
  readonly char?: 'e' | 'p' | 'l';
  readonly read: (text: string) => readonly Item[];
  readonly get: (spec: ServiceSpec) => readonly Item[];
  readonly set: (spec: ServiceSpec, items: readonly Item[]) => ServiceSpec;
  /** Of two items with one key the newer stays. */
  readonly key: (item: Item) => string;
  /** Whether `--<flag>-rm TEXT` means the item; by its key when not given. */
  readonly means?: (item: Item, text: string) => boolean;
};

/** A list flag whose items only it knows. */
export type ListFlag = {
  readonly about: string;
  readonly char: 'e' | 'p' | 'l' | undefined;
  readonly add: (spec: ServiceSpec, texts: readonly string[]) => ServiceSpec;
  readonly remove: (spec: ServiceSpec, texts: readonly string[]) => ServiceSpec;
};

function listFlag<Item>({ about, char, read, get, set, key, means }: Lists<Item>): ListFlag {
  const same = means ?? ((item: Item, text: string) => key(item) === text);
  return {
    about,
    char,
    add: (spec, texts) => {
      const items = new Map(get(spec).map((item) => [key(item), item]));
      for (const item of texts.flatMap((text) => read(text))) items.set(key(item), item);
      return set(spec, [...items.values()]);
    },
    remove: (spec, texts) =>
      set(
        spec,
        get(spec).filter((item) => !texts.some((text) => same(item, text))),
      ),
  };
}

type Pair = readonly [key: string, value: string];
type Labels = Readonly<Record<string, string>>;

/** A map as a list of its entries. */
function mapFlag(
  about: string,
  get: (spec: ServiceSpec) => Labels,
  set: (spec: ServiceSpec, map: Labels) => ServiceSpec,
): ListFlag {
  return listFlag<Pair>({
    about,
    read: (text) => [pairOf(text)],
    get: (spec) => Object.entries(get(spec)),
    set: (spec, entries) => set(spec, Object.fromEntries(entries)),
    key: ([key]) => key,
  });
}

/** Texts that are items as they stand. */
function textFlag(
  about: string,
  get: (spec: ServiceSpec) => readonly string[],
  set: (spec: ServiceSpec, items: readonly string[]) => ServiceSpec,
  read: (text: string) => string = (text) => text,
): ListFlag {
  return listFlag<string>({
    about,
    read: (text) => [read(text)],
    get,
    set,
    key: (item) => item,
    means: (item, text) => item === text || item === read(text),
  });
}

const nameOf = (variable: string): string => variable.split('=', 1)[0] ?? '';
const protocolOf = (protocol: number): string => Object.keys(PROTOCOLS)[protocol] ?? 'tcp';

const dns = (part: 'nameservers' | 'search' | 'options', about: string): ListFlag =>
  textFlag(
    about,
    (spec) => containerOf(spec).dnsConfig?.[part] ?? [],
    (spec, items) => {
      const config = containerOf(spec).dnsConfig ?? { nameservers: [], search: [], options: [] };
      return withContainer(spec, { dnsConfig: { ...config, [part]: items } });
    },
  );

const env = listFlag({
  about: 'environment variable; a name alone takes the value it has here',
  char: 'e',
  read: (text) => environmentOf(text, process.env),
  get: (spec) => containerOf(spec).env,
  set: (spec, items) => withContainer(spec, { env: items }),
  key: nameOf,
});

const publish = listFlag({
  about: 'port, as 8080:80 or published=8080,target=80,mode=host',
  char: 'p',
  read: portsOf,
  get: (spec) => spec.endpoint?.ports ?? [],
  set: (spec, ports) => withEndpoint(spec, { ports }),
  key: (p) => `${p.publishedPort}:${p.targetPort}/${protocolOf(p.protocol)}`,
  means: (p, text) => {
    const [number, protocol = 'tcp'] = text.split('/');
    const target = number?.split(':').at(-1);
    return target === String(p.targetPort) && protocol === protocolOf(p.protocol);
  },
});

const genericResource = listFlag({
  about: 'generic resource kept for each task, as gpu=2',
  read: (text) => [reservedResourceOf(text)],
  get: (spec) => spec.task.resources?.reservations?.generic ?? Resources.create().generic,
  set: (spec, generic) => withResources(spec, 'reservations', { generic }),
  key: (item) => item.resource?.value.kind ?? '',
});

const placementPref = listFlag({
  about: 'how tasks spread, as spread=node.labels.zone',
  read: (text) => [preferenceOf(text)],
  get: (spec) => (spec.task.placement ?? Placement.create()).preferences,
  set: (spec, preferences) => withPlacement(spec, { preferences }),
  key: (item) => `spread=${item.preference?.value.spreadDescriptor ?? ''}`,
});

/** Every such flag; update has each as `--<flag>-add` and `--<flag>-rm`. */
export const LISTS: Readonly<Record<string, ListFlag>> = {
  env,
  label: {
    ...mapFlag(
      'label of the service',
      (spec) => spec.annotations.labels,
      (spec, labels) => ({ ...spec, annotations: { ...spec.annotations, labels } }),
    ),
    char: 'l',
  },
  'container-label': mapFlag(
    'label of its containers',
    (spec) => containerOf(spec).labels,
    (spec, labels) => withContainer(spec, { labels }),
  ),
  mount: listFlag({
    about: 'mount, as type=volume,source=data,target=/data',
    read: (text) => [mountOf(text)],
    get: (spec) => containerOf(spec).mounts,
    set: (spec, mounts) => withContainer(spec, { mounts }),
    key: (mount) => mount.target,
  }),
  publish,
  network: listFlag({
    about: 'network, by name or as name=front,alias=web',
    read: (text) => [networkReferenceOf(text)],
    get: (spec) => spec.task.networks,
    set: (spec, networks) => withTask(spec, { networks }),
    key: (network) => network.target,
  }),
  secret: listFlag({
    about: 'secret, by name or as source=key,target=/run/key,mode=0400',
    read: (text) => [secretReferenceOf(text)],
    get: (spec) => containerOf(spec).secrets,
    set: (spec, secrets) => withContainer(spec, { secrets }),
    key: (item) => item.secretName,
  }),
  config: listFlag({
    about: 'config, by name or as source=site,target=/etc/site.conf',
    read: (text) => [configReferenceOf(text)],
    get: (spec) => containerOf(spec).configs,
    set: (spec, configs) => withContainer(spec, { configs }),
    key: (item) => item.configName,
  }),
  constraint: textFlag(
    'where tasks may run, as node.role==worker',
    (spec) => spec.task.placement?.constraints ?? [],
    (spec, constraints) => withPlacement(spec, { constraints }),
  ),
  'placement-pref': placementPref,
  'generic-resource': genericResource,
  'cap-add': textFlag(
    'Linux capability to have',
    (spec) => containerOf(spec).capabilityAdd,
    (spec, capabilityAdd) => withContainer(spec, { capabilityAdd }),
    capabilityOf,
  ),
  'cap-drop': textFlag(
    'Linux capability to be without',
    (spec) => containerOf(spec).capabilityDrop,
    (spec, capabilityDrop) => withContainer(spec, { capabilityDrop }),
    capabilityOf,
  ),
  group: textFlag(
    'supplementary group',
    (spec) => containerOf(spec).groups,
    (spec, groups) => withContainer(spec, { groups }),
  ),
  ulimit: listFlag({
    about: 'limit, as nofile=1024:2048',
    read: (text) => [ulimitOf(text)],
    get: (spec) => containerOf(spec).ulimits,
    set: (spec, ulimits) => withContainer(spec, { ulimits }),
    key: (item) => item.name,
  }),
  sysctl: mapFlag(
    'kernel parameter, as net.core.somaxconn=1024',
    (spec) => containerOf(spec).sysctls,
    (spec, sysctls) => withContainer(spec, { sysctls }),
  ),
  dns: dns('nameservers', 'DNS server'),
  'dns-search': dns('search', 'DNS search domain'),
  'dns-option': dns('options', 'DNS option'),
  host: textFlag(
    'line of /etc/hosts, as db:10.0.0.5',
    (spec) => containerOf(spec).hosts,
    (spec, hosts) => withContainer(spec, { hosts }),
    hostOf,
  ),
  'log-opt': mapFlag(
    'option of the log driver',
    (spec) => spec.task.logDriver?.options ?? {},
    (spec, options) => withLogDriver(spec, { options }),
  ),
};
