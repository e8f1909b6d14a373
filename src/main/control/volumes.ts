/**
 * Volumes of cluster storage: create, get, list, update, remove (behaviour rule 9.3). What a storage
 * plugin does for them is not this service's business.
 */
import { refuseMissingSecrets } from './references.ts';
import { volumeChangeProblems, volumeProblems } from '../../shared/model/checks/volume-checks.ts';
import {
  type CreateVolumeRequest,
  type GetVolumeRequest,
  type ListVolumesRequest,
  type RemoveVolumeRequest,
  RemoveVolumeResponse,
  type UpdateVolumeRequest,
} from '../../shared/wire/gen/control.ts';
import { Volume } from '../../shared/wire/gen/objects.ts';
import type { Handlers } from '../rpc/service.ts';
import type { ControlContext } from './context.ts';
import { ANNOTATIONS, isOneOf, listMatching } from './filters.ts';
import {
  failedPrecondition,
  found,
  invalidArgument,
  refuseProblems,
  required,
} from './refusals.ts';

type VolumeHandlers = Pick<
  Handlers<'Control'>,
  'CreateVolume' | 'GetVolume' | 'ListVolumes' | 'UpdateVolume' | 'RemoveVolume'
>;

export function volumeHandlers(context: ControlContext): VolumeHandlers {
  return {
    CreateVolume: async (request) => ({ volume: await create(context, request) }),
    GetVolume: (request) => ({ volume: get(context, request) }),
    ListVolumes: (request) => ({ volumes: list(context, request) }),
    UpdateVolume: async (request) => ({ volume: await update(context, request) }),
    RemoveVolume: async (request) => remove(context, request),
  };
}

function create(context: ControlContext, { spec }: CreateVolumeRequest): Promise<Volume> {
  if (spec === undefined) throw invalidArgument('spec must not be nil');
  refuseProblems(volumeProblems(spec));
  const id = context.env.newId();
  return context.store.update((tx) => {
    refuseMissingSecrets(
      tx,
      spec.secrets.map(({ secret }) => secret),
    );
    tx.volumes.create(Volume.create({ id, spec }));
    return found(tx.volumes.get(id), 'volume', id);
  });
}

function get({ store }: ControlContext, request: GetVolumeRequest): Volume {
  const id = required(request.volumeId, 'the volume ID');
  return found(
    store.view((view) => view.volumes.get(id)),
    'volume',
    id,
  );
}

function list({ store }: ControlContext, { filters }: ListVolumesRequest): readonly Volume[] {
  const { groups = [], drivers = [] } = filters ?? {};
  return store
    .view((view) => listMatching(view.volumes, filters, ANNOTATIONS))
    .filter(({ spec }) => isOneOf(groups, spec.group) && isOneOf(drivers, spec.driver?.name ?? ''));
}

function update({ store }: ControlContext, request: UpdateVolumeRequest): Promise<Volume> {
  const { volumeId: id, volumeVersion: version, spec } = request;
  if (id === '') throw invalidArgument('VolumeID must not be empty');
  if (spec === undefined) throw invalidArgument('Spec must not be empty');
  if (version === undefined) throw invalidArgument('VolumeVersion must not be empty');
  return store.update((tx) => {
    const stored = found(tx.volumes.get(id), 'volume', id);
    refuseProblems(volumeChangeProblems(stored.spec, spec));
    const annotations = { ...stored.spec.annotations, labels: spec.annotations.labels };
    tx.volumes.update({
      ...stored,
      meta: { ...stored.meta, version },
      spec: { ...stored.spec, annotations, availability: spec.availability },
    });
    return found(tx.volumes.get(id), 'volume', id);
  });
}

/** Marks the volume for its plugin to delete; with `force`, forgets it and leaves the storage alone. */
async function remove(
  { store }: ControlContext,
  request: RemoveVolumeRequest,
): Promise<RemoveVolumeResponse> {
  const id = required(request.volumeId, 'the volume ID');
  await store.update((tx) => {
    const volume = found(tx.volumes.get(id), 'volume', id);
    if (request.force) {
      tx.volumes.remove(id);
      return;
    }
    if (volume.publishStatus.length > 0) throw failedPrecondition('volume is still in use');
    tx.volumes.update({ ...volume, pendingDelete: true });
  });
  return RemoveVolumeResponse.create();
}
