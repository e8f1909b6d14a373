/** Resources: objects of the kinds that extensions add (behaviour rule 9.3). */
import {
  type CreateResourceRequest,
  type GetResourceRequest,
  type ListResourcesRequest,
  type RemoveResourceRequest,
  RemoveResourceResponse,
  type UpdateResourceRequest,
} from '../../shared/wire/gen/control.ts';
import { Resource } from '../../shared/wire/gen/objects.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import type { Handlers } from '../rpc/service.ts';
import type { ControlContext } from './context.ts';
import { listUnion } from './filters.ts';
import { found, invalidArgument, inWords } from './refusals.ts';

type ResourceHandlers = Pick<
  Handlers<'Control'>,
  'CreateResource' | 'GetResource' | 'ListResources' | 'UpdateResource' | 'RemoveResource'
>;

export function resourceHandlers(context: ControlContext): ResourceHandlers {
  return {
    CreateResource: async (request) => ({ resource: await create(context, request) }),
    GetResource: (request) => ({ resource: get(context, request) }),
    ListResources: (request) => ({ resources: list(context, request) }),
    UpdateResource: async (request) => ({ resource: await update(context, request) }),
    RemoveResource: async (request) => remove(context, request),
  };
}

function create(context: ControlContext, request: CreateResourceRequest): Promise<Resource> {
  const { annotations, kind, payload } = request;
  if (annotations === undefined || annotations.name === '') {
    throw invalidArgument('Resource must have a name');
  }
  if (kind === '') throw invalidArgument('Resource must belong to an Extension');
  const resource = Resource.create({ id: context.env.newId(), annotations, kind, payload });
  const words = {
    NAME_CONFLICT: new RpcError(
      Code.ALREADY_EXISTS,
      `A resource with name ${annotations.name} already exists`,
    ),
    KIND_UNREGISTERED: invalidArgument(`Kind ${kind} is not registered`),
  };
  return context.store.update((tx) => {
    inWords(words, () => tx.resources.create(resource));
    return found(tx.resources.get(resource.id), 'resource', resource.id);
  });
}

function get({ store }: ControlContext, { resourceId }: GetResourceRequest): Resource {
  if (resourceId === '') throw invalidArgument('resource ID must be present');
  return found(
    store.view((view) => view.resources.get(resourceId)),
    'resource',
    resourceId,
  );
}

function list({ store }: ControlContext, { filters }: ListResourcesRequest): readonly Resource[] {
  const resources = store.view((view) =>
    listUnion(view.resources, filters, (resource) => resource.annotations.labels),
  );
  const kind = filters?.kind ?? '';
  return kind === '' ? resources : resources.filter((resource) => resource.kind === kind);
}

function update({ store }: ControlContext, request: UpdateResourceRequest): Promise<Resource> {
  const { resourceId: id, resourceVersion: version, annotations, payload } = request;
  if (id === '' || version === undefined) throw invalidArgument('must include ID and version');
  return store.update((tx) => {
    const stored = found(tx.resources.get(id), 'resource', id);
    if (annotations !== undefined && annotations.name !== stored.annotations.name) {
      throw invalidArgument('cannot change resource name');
    }
    const resource = {
      ...stored,
      meta: { ...stored.meta, version },
      annotations: annotations ?? stored.annotations,
      payload: payload ?? stored.payload,
    };
    const words = { OUT_OF_SEQUENCE: invalidArgument('update out of sequence') };
    inWords(words, () => tx.resources.update(resource));
    return found(tx.resources.get(id), 'resource', id);
  });
}

async function remove(
  { store }: ControlContext,
  { resourceId }: RemoveResourceRequest,
): Promise<RemoveResourceResponse> {
  if (resourceId === '') throw invalidArgument('resource ID must be present');
  await store.update((tx) => {
    found(tx.resources.get(resourceId), 'resource', resourceId);
    tx.resources.remove(resourceId);
  });
  return RemoveResourceResponse.create();
}
