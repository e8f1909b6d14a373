/**
 * Brings a cluster to what its file says. Objects carry the cluster's name as a label; what carries it
 * and is no longer in the file is removed, and what is as wished is left alone.
 */
import { createHash, randomBytes } from 'node:crypto';
import { bytesEqual, deepEqual } from '../../shared/kit/deep-equal.ts';
import type { Config, Network, Node, Secret, Service } from '../../shared/wire/gen/objects.ts';
import { NetworkSpec, ServiceSpec } from '../../shared/wire/gen/specs.ts';
import { CommandError } from '../cli/command-error.ts';
import type { Control } from '../cli/connection.ts';
import { containerOf, withContainer, withTask } from '../cli/service/edit.ts';
import { withReferences } from '../cli/service/references.ts';
import type { ClusterWish, PayloadWish } from './cluster-file.ts';

/** The label that says which file an object comes from. */
export const CLUSTER_LABEL = 'com.skein.cluster';
/** The name that the file has for a secret or config whose own name carries its version. */
const NAME_LABEL = 'com.skein.name';
/** Salt and digest of a secret's data, which the manager never shows. */
const DIGEST_LABEL = 'com.skein.digest';

export type Change = {
  readonly action: 'created' | 'updated' | 'removed' | 'unchanged';
  readonly kind: 'network' | 'secret' | 'config' | 'service' | 'node';
  readonly name: string;
};

export type Applied = {
  readonly changes: readonly Change[];
  /** Every service of the file. */
  readonly services: readonly { readonly id: string; readonly name: string }[];
};

type Labels = Readonly<Record<string, string>>;
type Spec = { readonly annotations: { readonly name: string; readonly labels: Labels } };

const labelsOf = ({ spec }: { readonly spec: Spec }): Labels => spec.annotations.labels;

export class Application {
  readonly #control: Control;
  readonly #wish: ClusterWish;
  readonly #changes: Change[] = [];

  constructor(control: Control, wish: ClusterWish) {
    this.#control = control;
    this.#wish = wish;
  }

  /** Applies the whole file; objects before those that need them, and removals last. */
  async run(): Promise<Applied> {
    await this.#networks();
    const secrets = await this.#secrets();
    const configs = await this.#configs();
    const services = await this.#services(secrets, configs);
    await this.#prune(secrets, configs);
    return { changes: this.#changes, services };
  }

  #did(action: Change['action'], kind: Change['kind'], name: string): void {
    this.#changes.push({ action, kind, name });
  }

  #owned<T extends { readonly spec: Spec }>(objects: readonly T[]): readonly T[] {
    return objects
      .filter((object) => labelsOf(object)[CLUSTER_LABEL] === this.#wish.name)
      .toSorted((a, b) => a.spec.annotations.name.localeCompare(b.spec.annotations.name));
  }

  /** @throws CommandError when somebody else's object has the name */
  #refuseForeign(kind: string, name: string, found: { readonly spec: Spec } | undefined): void {
    if (found === undefined || labelsOf(found)[CLUSTER_LABEL] === this.#wish.name) return;
    throw new CommandError(
      `${kind} ${name} exists and is not of this file (it lacks the label ${CLUSTER_LABEL}=${this.#wish.name}); ` +
        'remove it or use another name',
    );
  }

  async #networks(): Promise<void> {
    const { networks } = await this.#control.ListNetworks({});
    for (const wished of this.#wish.networks) {
      const spec = NetworkSpec.decode(NetworkSpec.encode(this.#labelled(wished)));
      const { name } = spec.annotations;
      const found = networks.find((network: Network) => network.spec.annotations.name === name);
      this.#refuseForeign('network', name, found);
      if (found === undefined) {
        await this.#control.CreateNetwork({ spec });
        this.#did('created', 'network', name);
      } else if (deepEqual(found.spec, spec)) this.#did('unchanged', 'network', name);
      else {
        throw new CommandError(
          `network ${name} differs from the file, and a network cannot be changed: ` +
            'give the new one another name, or remove its services and then the network',
        );
      }
    }
  }

  #labelled<S extends Spec>(spec: S, more: Labels = {}): S {
    const labels = { ...spec.annotations.labels, ...more, [CLUSTER_LABEL]: this.#wish.name };
    return { ...spec, annotations: { ...spec.annotations, labels } };
  }

  async #secrets(): Promise<ReadonlyMap<string, Secret>> {
    const { secrets } = await this.#control.ListSecrets({});
    const found = new Map<string, Secret>();
    for (const wish of this.#wish.secrets) {
      const same = this.#owned(secrets).find(
        (secret) => fileName(secret) === wish.name && holds(labelsOf(secret), wish.data),
      );
      if (same !== undefined) {
        found.set(wish.name, same);
        this.#did('unchanged', 'secret', wish.name);
        continue;
      }
      const spec = this.#payload(wish, secrets, { [DIGEST_LABEL]: digestOf(wish.data) });
      const { secret } = await this.#control.CreateSecret({ spec });
      if (secret !== undefined) found.set(wish.name, secret);
      this.#did('created', 'secret', wish.name);
    }
    return found;
  }

  async #configs(): Promise<ReadonlyMap<string, Config>> {
    const { configs } = await this.#control.ListConfigs({});
    const found = new Map<string, Config>();
    for (const wish of this.#wish.configs) {
      const same = this.#owned(configs).find(
        (config) => fileName(config) === wish.name && bytesEqual(config.spec.data, wish.data),
      );
      if (same !== undefined) {
        found.set(wish.name, same);
        this.#did('unchanged', 'config', wish.name);
        continue;
      }
      const { config } = await this.#control.CreateConfig({
        spec: this.#payload(wish, configs, {}),
      });
      if (config !== undefined) found.set(wish.name, config);
      this.#did('created', 'config', wish.name);
    }
    return found;
  }

  /** A new version stands beside the old one, under a name of its own, until no service needs that. */
  #payload(
    wish: PayloadWish,
    present: readonly { readonly spec: Spec }[],
    more: Labels,
  ): Spec & { readonly data: Uint8Array } {
    const isTaken = present.some(
      ({ spec }) => spec.annotations.name.toLowerCase() === wish.name.toLowerCase(),
    );
    const name = isTaken ? `${wish.name}-${randomBytes(4).toString('hex')}` : wish.name;
    const labels = { ...wish.labels, ...more, [NAME_LABEL]: wish.name };
    return { ...this.#labelled({ annotations: { name, labels } }), data: wish.data };
  }

  async #services(
    secrets: ReadonlyMap<string, Secret>,
    configs: ReadonlyMap<string, Config>,
  ): Promise<Applied['services']> {
    const { services } = await this.#control.ListServices({});
    const applied: { id: string; name: string }[] = [];
    for (const wished of this.#wish.services) {
      const { name } = wished.annotations;
      const named = withVersions(this.#labelled(wished), secrets, configs);
      const resolved = await withReferences(this.#control, named);
      const found = services.find(({ spec }: Service) => spec.annotations.name === name);
      this.#refuseForeign('service', name, found);
      applied.push({ id: await this.#service(name, resolved, found), name });
    }
    return applied;
  }

  async #service(name: string, wished: ServiceSpec, found: Service | undefined): Promise<string> {
    if (found === undefined) {
      const { service } = await this.#control.CreateService({ spec: wished });
      this.#did('created', 'service', name);
      return service?.id ?? '';
    }
    // A restart that somebody forced is no difference from the file.
    const forced = withTask(wished, { forceUpdate: found.spec.task.forceUpdate });
    const spec = ServiceSpec.decode(ServiceSpec.encode(forced));
    if (deepEqual(spec, found.spec)) this.#did('unchanged', 'service', name);
    else {
      await this.#control.UpdateService({
        serviceId: found.id,
        serviceVersion: found.meta.version,
        spec,
      });
      this.#did('updated', 'service', name);
    }
    return found.id;
  }

  /** Removes what this file once brought and no longer has. */
  async #prune(
    secrets: ReadonlyMap<string, Secret>,
    configs: ReadonlyMap<string, Config>,
  ): Promise<void> {
    const control = this.#control;
    const names = new Set(this.#wish.services.map(({ annotations }) => annotations.name));
    for (const { id, spec } of this.#owned((await control.ListServices({})).services)) {
      if (names.has(spec.annotations.name)) continue;
      await control.RemoveService({ serviceId: id });
      this.#did('removed', 'service', spec.annotations.name);
    }
    const keptSecrets = new Set([...secrets.values()].map(({ id }) => id));
    for (const { id, spec } of this.#owned((await control.ListSecrets({})).secrets)) {
      if (keptSecrets.has(id)) continue;
      await control.RemoveSecret({ secretId: id });
      this.#did('removed', 'secret', spec.annotations.name);
    }
    const keptConfigs = new Set([...configs.values()].map(({ id }) => id));
    for (const { id, spec } of this.#owned((await control.ListConfigs({})).configs)) {
      if (keptConfigs.has(id)) continue;
      await control.RemoveConfig({ configId: id });
      this.#did('removed', 'config', spec.annotations.name);
    }
    await this.#pruneNetworks();
  }

  async #pruneNetworks(): Promise<void> {
    const names = new Set(this.#wish.networks.map(({ annotations }) => annotations.name));
    for (const { id, spec } of this.#owned((await this.#control.ListNetworks({})).networks)) {
      if (names.has(spec.annotations.name)) continue;
      await this.#control.RemoveNetwork({ networkId: id });
      this.#did('removed', 'network', spec.annotations.name);
    }
  }
}

const fileName = (object: { readonly spec: Spec }): string => labelsOf(object)[NAME_LABEL] ?? '';

/** The file's names of secrets and configs as the ones that hold what it wants now. */
function withVersions(
  spec: ServiceSpec,
  secrets: ReadonlyMap<string, Secret>,
  configs: ReadonlyMap<string, Config>,
): ServiceSpec {
  const container = containerOf(spec);
  return withContainer(spec, {
    secrets: container.secrets.map((item) => {
      const found = secrets.get(item.secretName);
      if (found === undefined) return item;
      return { ...item, secretId: found.id, secretName: found.spec.annotations.name };
    }),
    configs: container.configs.map((item) => {
      const found = configs.get(item.configName);
      if (found === undefined) return item;
      return { ...item, configId: found.id, configName: found.spec.annotations.name };
    }),
  });
}

const sha256 = (salt: string, data: Uint8Array): string =>
  createHash('sha256').update(salt).update(data).digest('hex');

function digestOf(data: Uint8Array): string {
  const salt = randomBytes(16).toString('hex');
  return `${salt}:${sha256(salt, data)}`;
}

function holds(labels: Labels, data: Uint8Array): boolean {
  const [salt = '', digest] = (labels[DIGEST_LABEL] ?? '').split(':');
  return digest === sha256(salt, data);
}

/** Gives a node the labels that the file wishes for it; others it has stay. */
export async function labelNode(control: Control, node: Node, wished: Labels): Promise<boolean> {
  const { annotations } = node.spec;
  const labels = { ...annotations.labels, ...wished };
  if (deepEqual(labels, annotations.labels)) return false;
  const spec = { ...node.spec, annotations: { ...annotations, labels } };
  await control.UpdateNode({ nodeId: node.id, nodeVersion: node.meta.version, spec });
  return true;
}
