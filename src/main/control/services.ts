/** Services: create, get, list, update, roll back, remove (behaviour rules 9.2 and 9.3). */
import { deepEqual } from '../../shared/kit/deep-equal.ts';
import { isJob, serviceProblems } from '../../shared/model/checks/service-checks.ts';
import { runtimeName } from '../../shared/model/names.ts';
import { withDefaults } from '../../shared/model/service-defaults.ts';
import { timestampOf } from '../../shared/model/time.ts';
import {
  RemoveServiceResponse,
  type CreateServiceRequest,
  type GetServiceRequest,
  type ListServicesRequest,
  type RemoveServiceRequest,
  type UpdateServiceRequest,
  UpdateServiceRequestRollback,
} from '../../shared/wire/gen/control.ts';
import { Service } from '../../shared/wire/gen/objects.ts';
import type { ServiceSpec } from '../../shared/wire/gen/specs.ts';
import {
  JobStatus,
  UpdateStatus,
  UpdateStatusUpdateState,
  type Version,
} from '../../shared/wire/gen/types.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import type { Handlers } from '../rpc/service.ts';
import type { View } from '../store/view.ts';
import type { ControlContext } from './context.ts';
import { ANNOTATIONS, isOneOf, listMatching } from './filters.ts';
import { refuseIngressMisuse, refusePortConflicts } from './ports.ts';
import { refuseMissingReferences } from './references.ts';
import {
  failedPrecondition,
  found,
  inWords,
  refuseProblems,
  required,
  unimplemented,
} from './refusals.ts';

type ServiceHandlers = Pick<
  Handlers<'Control'>,
  'CreateService' | 'GetService' | 'ListServices' | 'UpdateService' | 'RemoveService'
>;

export function serviceHandlers(context: ControlContext): ServiceHandlers {
  return {
    CreateService: async (request) => ({ service: await create(context, request) }),
    GetService: (request) => ({ service: get(context, request) }),
    ListServices: (request) => ({ services: list(context, request) }),
    UpdateService: async (request) => ({ service: await update(context, request) }),
    RemoveService: async (request) => remove(context, request),
  };
}

function create(context: ControlContext, request: CreateServiceRequest): Promise<Service> {
  const spec = required(request.spec, 'the service spec');
  refuseProblems(serviceProblems(spec));
  const { env, store } = context;
  return store.update((tx) => {
    refuseIngressMisuse(tx, spec);
    refusePortConflicts(tx, spec, '');
    refuseMissingReferences(tx, spec);
    const service = Service.create({
      id: env.newId(),
      spec,
      specVersion: {},
      jobStatus: isJob(spec) ? { lastExecution: timestampOf(env.nowMs()) } : undefined,
    });
    inWords({ NAME_CONFLICT: nameTaken(spec) }, () => tx.services.create(service));
    return found(tx.services.get(service.id), 'service', service.id);
  });
}

function nameTaken({ annotations }: ServiceSpec): RpcError {
  return new RpcError(
    Code.ALREADY_EXISTS,
    `name conflicts with an existing object: service ${annotations.name} already exists`,
  );
}

function get({ store }: ControlContext, request: GetServiceRequest): Service {
  const id = required(request.serviceId, 'the service ID');
  const service = found(
    store.view((view) => view.services.get(id)),
    'service',
    id,
  );
  return request.insertDefaults ? { ...service, spec: withDefaults(service.spec) } : service;
}

function list({ store }: ControlContext, { filters }: ListServicesRequest): readonly Service[] {
  const runtimes = filters?.runtimes ?? [];
  return store
    .view((view) => listMatching(view.services, filters, ANNOTATIONS))
    .filter((service) => isOneOf(runtimes, runtimeName(service.spec.task)));
}

function update(context: ControlContext, request: UpdateServiceRequest): Promise<Service> {
  const id = required(request.serviceId, 'the service ID');
  const version = required(request.serviceVersion, 'the service version');
  const spec = required(request.spec, 'the service spec');
  refuseProblems(serviceProblems(spec));
  return context.store.update((tx) => {
    const stored = found(tx.services.get(id), 'service', id);
    refuseFixedChanges(stored.spec, spec);
    const changed =
      request.rollback === UpdateServiceRequestRollback.PREVIOUS
        ? rolledBack(context, stored)
        : updated(stored, spec, version);
    refuseInCluster(tx, stored, changed.spec);
    tx.services.update({
      ...changed,
      meta: { ...stored.meta, version },
      jobStatus: nextIteration(context, stored),
    });
    return found(tx.services.get(id), 'service', id);
  });
}

/** What no update may change. */
function refuseFixedChanges(from: ServiceSpec, to: ServiceSpec): void {
  if (!deepEqual(from.networks, to.networks)) {
    throw unimplemented('networks must be migrated to TaskSpec before being changed');
  }
  if (from.mode?.case !== to.mode?.case) {
    throw unimplemented('service mode change is not allowed');
  }
  if (from.annotations.name !== to.annotations.name) {
    throw unimplemented('renaming services is not supported');
  }
}

/** What the cluster must have for the spec to become the service's own. */
function refuseInCluster(view: View, stored: Service, spec: ServiceSpec): void {
  if (!deepEqual(stored.spec.endpoint, spec.endpoint)) {
    refusePortConflicts(view, spec, stored.id);
  }
  refuseIngressMisuse(view, spec);
  refuseMissingReferences(view, spec);
}

function updated(stored: Service, spec: ServiceSpec, version: Version): Service {
  return {
    ...stored,
    spec,
    specVersion: version,
    previousSpec: stored.spec,
    previousSpecVersion: stored.specVersion,
    updateStatus: undefined,
  };
}

/** Spec and previous spec change places, so that a second rollback undoes the first. */
function rolledBack({ env }: ControlContext, stored: Service): Service {
  if (stored.previousSpec === undefined) {
    throw failedPrecondition(`service ${stored.id} does not have a previous spec`);
  }
  return {
    ...stored,
    spec: stored.previousSpec,
    specVersion: stored.previousSpecVersion,
    previousSpec: stored.spec,
    previousSpecVersion: stored.specVersion,
    updateStatus: UpdateStatus.create({
      state: UpdateStatusUpdateState.ROLLBACK_STARTED,
      message: 'manually requested rollback',
      startedAt: timestampOf(env.nowMs()),
    }),
  };
}

/** Every update of a job runs it anew. */
function nextIteration({ env }: ControlContext, stored: Service): JobStatus | undefined {
  if (!isJob(stored.spec)) return stored.jobStatus;
  const iteration = stored.jobStatus?.jobIteration.index ?? 0;
  return JobStatus.create({
    jobIteration: { index: iteration + 1 },
    lastExecution: timestampOf(env.nowMs()),
  });
}

async function remove(
  { store }: ControlContext,
  request: RemoveServiceRequest,
): Promise<RemoveServiceResponse> {
  const id = required(request.serviceId, 'the service ID');
  await store.update((tx) => {
    found(tx.services.get(id), 'service', id);
    tx.services.remove(id);
  });
  return RemoveServiceResponse.create();
}
