/** Configs: like secrets, but nothing of them is kept back (behaviour rule 9.3). */
import { bytesEqual } from '../../shared/kit/deep-equal.ts';
import { configProblems } from '../../shared/model/checks/payload-checks.ts';
import {
  type CreateConfigRequest,
  type GetConfigRequest,
  type ListConfigsRequest,
  type RemoveConfigRequest,
  RemoveConfigResponse,
  type UpdateConfigRequest,
} from '../../shared/wire/gen/control.ts';
import { Config } from '../../shared/wire/gen/objects.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import type { Handlers } from '../rpc/service.ts';
import type { ControlContext } from './context.ts';
import { ANNOTATIONS, listUnion } from './filters.ts';
import { inUse, serviceNames } from './references.ts';
import { found, invalidArgument, inWords, refuseProblems, required } from './refusals.ts';

type ConfigHandlers = Pick<
  Handlers<'Control'>,
  'CreateConfig' | 'GetConfig' | 'ListConfigs' | 'UpdateConfig' | 'RemoveConfig'
>;

export function configHandlers(context: ControlContext): ConfigHandlers {
  return {
    CreateConfig: async (request) => ({ config: await create(context, request) }),
    GetConfig: (request) => ({ config: get(context, request) }),
    ListConfigs: (request) => ({ configs: list(context, request) }),
    UpdateConfig: async (request) => ({ config: await update(context, request) }),
    RemoveConfig: async (request) => remove(context, request),
  };
}

function create(context: ControlContext, request: CreateConfigRequest): Promise<Config> {
  const spec = required(request.spec, 'the config spec');
  refuseProblems(configProblems(spec));
  const id = context.env.newId();
  const { name } = spec.annotations;
  const taken = new RpcError(Code.ALREADY_EXISTS, `config ${name} already exists`);
  return context.store.update((tx) => {
    inWords({ NAME_CONFLICT: taken }, () => tx.configs.create(Config.create({ id, spec })));
    return found(tx.configs.get(id), 'config', id);
  });
}

function get({ store }: ControlContext, { configId }: GetConfigRequest): Config {
  if (configId === '') throw invalidArgument('config ID must be provided');
  return found(
    store.view((view) => view.configs.get(configId)),
    'config',
    configId,
  );
}

function list({ store }: ControlContext, { filters }: ListConfigsRequest): readonly Config[] {
  return store.view((view) => listUnion(view.configs, filters, ANNOTATIONS.labels));
}

function update({ store }: ControlContext, request: UpdateConfigRequest): Promise<Config> {
  const id = required(request.configId, 'the config ID');
  const version = required(request.configVersion, 'the config version');
  const { annotations, data } = required(request.spec, 'the config spec');
  return store.update((tx) => {
    const stored = found(tx.configs.get(id), 'config', id);
    const { spec } = stored;
    const isSame =
      annotations.name === spec.annotations.name &&
      (data.length === 0 || bytesEqual(data, spec.data));
    if (!isSame) throw invalidArgument('only updates to Labels are allowed');
    tx.configs.update({
      ...stored,
      meta: { ...stored.meta, version },
      spec: { ...spec, annotations: { ...spec.annotations, labels: annotations.labels } },
    });
    return found(tx.configs.get(id), 'config', id);
  });
}

async function remove(
  { store }: ControlContext,
  { configId }: RemoveConfigRequest,
): Promise<RemoveConfigResponse> {
  if (configId === '') throw invalidArgument('config ID must be provided');
  await store.update((tx) => {
    const config = tx.configs.get(configId);
    if (config === undefined) {
      throw new RpcError(Code.NOT_FOUND, `could not find config ${configId}`);
    }
    const users = serviceNames(tx.services.find('config', configId));
    const { name } = config.spec.annotations;
    if (users.length > 0) throw inUse(`config '${name}'`, 'service', users);
    tx.configs.remove(configId);
  });
  return RemoveConfigResponse.create();
}
