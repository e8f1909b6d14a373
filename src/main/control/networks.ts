/** Networks: create, get, list, remove (behaviour rule 9.3). A network never changes. */
import { networkProblems } from '../../shared/model/checks/network-checks.ts';
import { isIngressNetwork, isPredefinedNetwork } from '../../shared/model/networks.ts';
import {
  type CreateNetworkRequest,
  type GetNetworkRequest,
  type ListNetworksRequest,
  type RemoveNetworkRequest,
  RemoveNetworkResponse,
} from '../../shared/wire/gen/control.ts';
import { Network } from '../../shared/wire/gen/objects.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import type { Handlers } from '../rpc/service.ts';
import type { View } from '../store/view.ts';
import type { ControlContext } from './context.ts';
import { ANNOTATIONS, listMatching } from './filters.ts';
import { ingressNetwork, needsIngress } from './ports.ts';
import { failedPrecondition, found, refuseProblems, required } from './refusals.ts';

type NetworkHandlers = Pick<
  Handlers<'Control'>,
  'CreateNetwork' | 'GetNetwork' | 'ListNetworks' | 'RemoveNetwork'
>;

export function networkHandlers(context: ControlContext): NetworkHandlers {
  return {
    CreateNetwork: async (request) => ({ network: await create(context, request) }),
    GetNetwork: (request) => ({ network: get(context, request) }),
    ListNetworks: (request) => ({ networks: list(context, request) }),
    RemoveNetwork: async (request) => remove(context, request),
  };
}

function create(context: ControlContext, request: CreateNetworkRequest): Promise<Network> {
  const spec = required(request.spec, 'the network spec');
  refuseProblems(networkProblems(spec));
  const id = context.env.newId();
  return context.store.update((tx) => {
    const present = isIngressNetwork(spec) ? ingressNetwork(tx) : undefined;
    if (present !== undefined) {
      throw new RpcError(Code.ALREADY_EXISTS, `ingress network (${present.id}) is already present`);
    }
    tx.networks.create(Network.create({ id, spec }));
    return found(tx.networks.get(id), 'network', id);
  });
}

function get({ store }: ControlContext, request: GetNetworkRequest): Network {
  const id = required(request.networkId, 'the network ID');
  return found(
    store.view((view) => view.networks.get(id)),
    'network',
    id,
  );
}

function list({ store }: ControlContext, { filters }: ListNetworksRequest): readonly Network[] {
  return store.view((view) => listMatching(view.networks, filters, ANNOTATIONS));
}

async function remove(
  { store }: ControlContext,
  request: RemoveNetworkRequest,
): Promise<RemoveNetworkResponse> {
  const id = required(request.networkId, 'the network ID');
  await store.update((tx) => {
    const network = found(tx.networks.get(id), 'network', id);
    if (isIngressNetwork(network.spec)) refuseIngressRemoval(tx);
    else refuseRemoval(tx, network);
    tx.networks.remove(id);
  });
  return RemoveNetworkResponse.create();
}

function refuseIngressRemoval(view: View): void {
  for (const service of view.services.all()) {
    if (!needsIngress(service.spec)) continue;
    throw failedPrecondition(
      `ingress network cannot be removed because service ${service.id} depends on it`,
    );
  }
}

function refuseRemoval(view: View, { id, spec }: Network): void {
  if (isPredefinedNetwork(spec)) {
    throw failedPrecondition(
      `network ${spec.annotations.name} (${id}) is a swarm predefined network and cannot be removed`,
    );
  }
  const [service] = view.services.find('network', id);
  if (service !== undefined) {
    throw failedPrecondition(`network ${id} is in use by service ${service.id}`);
  }
  const task = view.tasks
    .byReference('network', id)
    .find((row) => row.desiredState <= TaskState.RUNNING && row.state <= TaskState.RUNNING);
  if (task !== undefined) {
    throw failedPrecondition(`network ${id} is in use by task ${task.id}`);
  }
}
