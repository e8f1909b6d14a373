/** Nodes: get, list, update, remove (behaviour rule 9.3). They come by joining, not by this API. */
import { X509Certificate } from 'node:crypto';
import { RUNTIME_PLUGIN } from '../../shared/lanes/placement.ts';
import { timestampOf } from '../../shared/model/time.ts';
import {
  RemoveNodeResponse,
  type GetNodeRequest,
  type ListNodesRequest,
  type RemoveNodeRequest,
  type UpdateNodeRequest,
} from '../../shared/wire/gen/control.ts';
import type { Cluster, Node } from '../../shared/wire/gen/objects.ts';
import {
  type BlacklistedCertificate,
  NodeRole,
  NodeStatusState,
  TaskState,
  TaskStatus,
} from '../../shared/wire/gen/types.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import type { Handlers } from '../rpc/service.ts';
import { StoreError, type Transaction } from '../store/transaction.ts';
import type { TaskRow, View } from '../store/view.ts';
import type { ControlContext } from './context.ts';
import { type Facets, isOneOf, listMatching, matchesLabels } from './filters.ts';
import { failedPrecondition, found, required } from './refusals.ts';

type NodeHandlers = Pick<
  Handlers<'Control'>,
  'GetNode' | 'ListNodes' | 'UpdateNode' | 'RemoveNode'
>;

export function nodeHandlers(context: ControlContext): NodeHandlers {
  return {
    GetNode: (request) => ({ node: get(context, request) }),
    ListNodes: (request) => ({ nodes: list(context, request) }),
    UpdateNode: async (request) => ({ node: await update(context, request) }),
    RemoveNode: async (request) => remove(context, request),
  };
}

/** A node's name is its host name; plain label filters look at its engine's labels. */
const FACETS: Facets<Node> = {
  name: (node) => node.description?.hostname ?? '',
  labels: (node) => node.description?.engine?.labels ?? {},
};

/** The node with what raft knows of it, which is never stored. */
function withManagerStatus({ members }: ControlContext, node: Node): Node {
  return { ...node, managerStatus: members.byNode(node.id) };
}

function get(context: ControlContext, request: GetNodeRequest): Node {
  const id = required(request.nodeId, 'the node ID');
  const node = context.store.view((view) => view.nodes.get(id));
  return withManagerStatus(context, found(node, 'node', id));
}

function list(context: ControlContext, { filters }: ListNodesRequest): readonly Node[] {
  const nodes = context.store.view((view) => listMatching(view.nodes, filters, FACETS));
  return nodes
    .filter(
      (node) =>
        filters === undefined ||
        (isOneOf(filters.roles, node.role) &&
          isOneOf(filters.memberships, node.spec.membership) &&
          matchesLabels(node.spec.annotations.labels, filters.nodeLabels)),
    )
    .map((node) => withManagerStatus(context, node));
}

function update(context: ControlContext, request: UpdateNodeRequest): Promise<Node> {
  const id = required(request.nodeId, 'the node ID');
  const version = required(request.nodeVersion, 'the node version');
  const spec = required(request.spec, 'the node spec');
  return context.store.update((tx) => {
    const node = found(tx.nodes.get(id), 'node', id);
    if (node.spec.desiredRole !== spec.desiredRole) {
      if (spec.desiredRole === NodeRole.WORKER) refuseDemotion(context, tx, node);
      else if (spec.desiredRole === NodeRole.MANAGER) refusePromotion(node);
    }
    tx.nodes.update({ ...node, spec, meta: { ...node.meta, version } });
    return found(tx.nodes.get(id), 'node', id);
  });
}

/** @throws RpcError when the cluster could not do without this manager. */
function refuseDemotion({ members }: ControlContext, view: View, node: Node): void {
  const others = view.nodes
    .find('role', String(NodeRole.MANAGER))
    .filter(({ id, spec }) => id !== node.id && spec.desiredRole === NodeRole.MANAGER);
  if (others.length === 0) {
    throw failedPrecondition('attempting to demote the last manager of the swarm');
  }
  const member = members.byNode(node.id);
  if (member === undefined) {
    // Whoever is up and has not joined yet hears of it, and then does not join.
    if (node.status.state === NodeStatusState.READY) return;
    throw new RpcError(Code.NOT_FOUND, "can't find manager in raft memberlist");
  }
  const { allowed, missing } = members.judgeRemoval(member.raftId);
  if (!allowed) {
    throw failedPrecondition(
      `can't remove member from the raft: this would result in a loss of quorum${missing}`,
    );
  }
}

/**
 * A Docker Engine's manager and ours cannot share a quorum yet. An engine that was promoted all the same
 * would be turned down when it joins, and then run no tasks either.
 *
 * Skein's nodes list their runtimes among their plugins, and engines have no plugins of that type.
 * @throws RpcError FailedPrecondition for an engine, and for a node that has not said what it is.
 */
function refusePromotion({ id, description }: Node): void {
  if (description === undefined) {
    throw failedPrecondition(
      `node ${id} has not registered yet: promote it once it is there, since a Docker Engine cannot ` +
        'be a manager of this cluster',
    );
  }
  const plugins = description.engine?.plugins ?? [];
  if (plugins.some(({ type }) => type === RUNTIME_PLUGIN)) return;
  throw failedPrecondition(
    `node ${description.hostname || id} is a Docker Engine, which cannot be a manager of this cluster ` +
      'yet: promote a node that runs Skein',
  );
}

/**
 * Bars the node's certificate, gives up its tasks and deletes it, in one transaction. A node with more
 * live tasks than one transaction holds has them given up first.
 */
async function remove(
  context: ControlContext,
  request: RemoveNodeRequest,
): Promise<RemoveNodeResponse> {
  const id = required(request.nodeId, 'the node ID');
  const { force } = request;
  try {
    await context.store.update((tx) => removeIn(context, tx, id, force));
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'TOO_LARGE') throw error;
    await orphanInBatches(context, id);
    await context.store.update((tx) => removeIn(context, tx, id, force));
  }
  return RemoveNodeResponse.create();
}

function removeIn(context: ControlContext, tx: Transaction, id: string, force: boolean): void {
  const node = found(tx.nodes.get(id), 'node', id);
  refuseRemoval(context, node, force);
  for (const task of liveTasks(tx, id)) orphan(context, tx, task);
  bar(tx, node);
  tx.nodes.remove(id);
}

/** @throws RpcError FailedPrecondition for a manager, or a node that still works. */
function refuseRemoval({ members }: ControlContext, node: Node, force: boolean): void {
  if (members.byNode(node.id) !== undefined) {
    throw failedPrecondition(
      `node ${node.id} is a cluster manager and is a member of the raft cluster. ` +
        'It must be demoted to worker before removal',
    );
  }
  if (!force && node.status.state === NodeStatusState.READY) {
    throw failedPrecondition(`node ${node.id} is not down and can't be removed`);
  }
}

function liveTasks(view: View, nodeId: string): readonly TaskRow[] {
  return view.tasks.byNode(nodeId).filter((task) => task.state < TaskState.COMPLETE);
}

function orphan({ env }: ControlContext, tx: Transaction, task: Pick<TaskRow, 'id'>): void {
  const status = TaskStatus.create({
    timestamp: timestampOf(env.nowMs()),
    state: TaskState.ORPHANED,
    message: 'Task belonged to a node that has been deleted',
  });
  tx.tasks.patch(task.id, { status });
}

function orphanInBatches(context: ControlContext, nodeId: string): Promise<void> {
  const ids = context.store.head((view) => liveTasks(view, nodeId).map(({ id }) => ({ id })));
  return context.store.batch(ids, (tx, task) => {
    const row = tx.tasks.get(task.id);
    if (row !== undefined && row.state < TaskState.COMPLETE) orphan(context, tx, task);
  });
}

/** Keeps the node's certificate from being accepted for as long as it would be valid. */
function bar(tx: Transaction, node: Node): void {
  const cluster = onlyCluster(tx);
  tx.clusters.update({
    ...cluster,
    blacklistedCertificates: {
      ...cluster.blacklistedCertificates,
      [node.id]: barredUntil(node.certificate.certificate),
    },
  });
}

function onlyCluster(view: View): Cluster {
  for (const cluster of view.clusters.all()) return cluster;
  throw new RpcError(Code.INTERNAL, 'could not find cluster object');
}

/** Without an expiry when the certificate cannot be read: such an entry stays. */
function barredUntil(certificate: Uint8Array): BlacklistedCertificate {
  if (certificate.length === 0) return { expiry: undefined };
  try {
    const { validToDate } = new X509Certificate(certificate);
    return { expiry: timestampOf(validToDate.getTime()) };
  } catch {
    return { expiry: undefined };
  }
}
