/** Services, secrets and configs as the ledger sees them: each with a text that can be changed. */
import assert from 'node:assert/strict';
import type { ServiceClient } from '../../src/main/rpc/client.ts';
import { RpcError } from '../../src/main/rpc/errors.ts';
import type { Config, Meta, Service } from '../../src/shared/wire/gen/objects.ts';
import type { ServiceSpec } from '../../src/shared/wire/gen/specs.ts';
import type { Annotations } from '../../src/shared/wire/gen/types.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import type { Item, Shelf } from './ledger.ts';

export type Control = ServiceClient<'Control'>;

const REPLICAS_MAX = 3;
/** Bytes of a config: entries of very different lengths. */
const LENGTH_MAX = 20_000;

const annotationsOf = (name: string, text: string) => ({ name, labels: { text } });

type Stored = {
  readonly id: string;
  readonly meta: Meta;
  readonly spec: { readonly annotations: Annotations };
};

function itemOf(object: Stored | undefined): Item {
  assert.ok(object, 'an answer without its object');
  const { name, labels } = object.spec.annotations;
  return {
    id: object.id,
    name,
    text: labels['text'] ?? '',
    version: object.meta.version.index,
  };
}

/** Some number that a name always gives. */
const numberOf = (name: string, limit: number): number =>
  Buffer.from(name).reduce((sum, byte) => (sum * 31 + byte) % 1_000_003, 7) % limit;

const dataOf = (name: string): Buffer =>
  Buffer.alloc(1 + numberOf(name, LENGTH_MAX), `content of ${name};`);

function serviceSpec(name: string, text: string): Init<ServiceSpec> {
  const replicas = BigInt(numberOf(name, REPLICAS_MAX + 1));
  return {
    annotations: annotationsOf(name, text),
    task: { runtime: { case: 'container', value: { image: `image:${text}` } } },
    mode: { case: 'replicated', value: { replicas } },
  };
}

function serviceItem(service: Service | undefined): Item {
  const item = itemOf(service);
  const runtime = service?.spec.task.runtime;
  assert.ok(runtime?.case === 'container');
  assert.equal(runtime.value.image, `image:${item.text}`, `${item.name} is half of two specs`);
  return item;
}

function configItem(config: Config | undefined): Item {
  const item = itemOf(config);
  assert.ok(dataOf(item.name).equals(config?.spec.data ?? Buffer.of()), `data of ${item.name}`);
  return item;
}

/** Its allocation and its update are writes to a service as well: who comes too late asks again. */
async function updateService(control: Control, serviceId: string, text: string): Promise<Item> {
  for (;;) {
    const stored = (await control.GetService({ serviceId })).service;
    const spec = serviceSpec(serviceItem(stored).name, text);
    const request = { serviceId, serviceVersion: stored?.meta.version, spec };
    try {
      return serviceItem((await control.UpdateService(request)).service);
    } catch (error) {
      if (!(error instanceof RpcError) || error.message !== 'update out of sequence') throw error;
    }
  }
}

function services(control: Control): Shelf {
  return {
    kind: 'service',
    create: async (name, text) => {
      const { service } = await control.CreateService({ spec: serviceSpec(name, text) });
      return serviceItem(service);
    },
    update: (serviceId, text) => updateService(control, serviceId, text),
    remove: async (serviceId) => void (await control.RemoveService({ serviceId })),
    list: async () => (await control.ListServices({})).services.map(serviceItem),
  };
}

function secrets(control: Control): Shelf {
  return {
    kind: 'secret',
    create: async (name, text) => {
      const spec = { annotations: annotationsOf(name, text), data: Buffer.from(name) };
      return itemOf((await control.CreateSecret({ spec })).secret);
    },
    update: async (secretId, text) => {
      const { secret } = await control.GetSecret({ secretId });
      const spec = { annotations: annotationsOf(itemOf(secret).name, text) };
      const request = { secretId, secretVersion: secret?.meta.version, spec };
      return itemOf((await control.UpdateSecret(request)).secret);
    },
    remove: async (secretId) => void (await control.RemoveSecret({ secretId })),
    list: async () => (await control.ListSecrets({})).secrets.map(itemOf),
  };
}

function configs(control: Control): Shelf {
  return {
    kind: 'config',
    create: async (name, text) => {
      const spec = { annotations: annotationsOf(name, text), data: dataOf(name) };
      return configItem((await control.CreateConfig({ spec })).config);
    },
    update: async (configId, text) => {
      const { config } = await control.GetConfig({ configId });
      const { name } = configItem(config);
      const spec = { annotations: annotationsOf(name, text), data: dataOf(name) };
      const request = { configId, configVersion: config?.meta.version, spec };
      return configItem((await control.UpdateConfig(request)).config);
    },
    remove: async (configId) => void (await control.RemoveConfig({ configId })),
    list: async () => (await control.ListConfigs({})).configs.map(configItem),
  };
}

export const shelves = (control: Control): readonly Shelf[] => [
  services(control),
  secrets(control),
  configs(control),
];
