/** Extensions: kinds of resource that users add (behaviour rule 9.3). They never change. */
import {
  type CreateExtensionRequest,
  type GetExtensionRequest,
  type RemoveExtensionRequest,
  RemoveExtensionResponse,
} from '../../shared/wire/gen/control.ts';
import { Extension } from '../../shared/wire/gen/objects.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import type { Handlers } from '../rpc/service.ts';
import type { ControlContext } from './context.ts';
import { inUse } from './references.ts';
import { found, invalidArgument, inWords } from './refusals.ts';

type ExtensionHandlers = Pick<
  Handlers<'Control'>,
  'CreateExtension' | 'GetExtension' | 'RemoveExtension'
>;

export function extensionHandlers(context: ControlContext): ExtensionHandlers {
  return {
    CreateExtension: async (request) => ({ extension: await create(context, request) }),
    GetExtension: (request) => ({ extension: get(context, request) }),
    RemoveExtension: async (request) => remove(context, request),
  };
}

function create(context: ControlContext, request: CreateExtensionRequest): Promise<Extension> {
  const { annotations, description } = request;
  if (annotations === undefined || annotations.name === '') {
    throw invalidArgument('extension name must be provided');
  }
  const extension = Extension.create({ id: context.env.newId(), annotations, description });
  const taken = new RpcError(Code.ALREADY_EXISTS, `extension ${annotations.name} already exists`);
  return context.store.update((tx) => {
    inWords({ NAME_CONFLICT: taken }, () => tx.extensions.create(extension));
    return found(tx.extensions.get(extension.id), 'extension', extension.id);
  });
}

function get({ store }: ControlContext, { extensionId }: GetExtensionRequest): Extension {
  if (extensionId === '') throw invalidArgument('extension ID must be provided');
  return found(
    store.view((view) => view.extensions.get(extensionId)),
    'extension',
    extensionId,
  );
}

async function remove(
  { store }: ControlContext,
  { extensionId }: RemoveExtensionRequest,
): Promise<RemoveExtensionResponse> {
  if (extensionId === '') throw invalidArgument('extension ID must be provided');
  await store.update((tx) => {
    const extension = tx.extensions.get(extensionId);
    if (extension === undefined) {
      throw new RpcError(Code.NOT_FOUND, `could not find extension ${extensionId}`);
    }
    const { name } = extension.annotations;
    const users = tx.resources
      .find('kind', name)
      .map((resource) => resource.annotations.name)
      .toSorted((a, b) => (a < b ? -1 : 1));
    if (users.length > 0) throw inUse(`extension '${name}'`, 'resource', users);
    tx.extensions.remove(extensionId);
  });
  return RemoveExtensionResponse.create();
}
