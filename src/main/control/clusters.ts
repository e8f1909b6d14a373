/** The cluster object: get, list, update its spec, rotate tokens and keys (behaviour rule 9.3). */
import { clusterProblems } from '../../shared/model/checks/cluster-checks.ts';
import type {
  GetClusterRequest,
  ListClustersRequest,
  UpdateClusterRequest,
} from '../../shared/wire/gen/control.ts';
import type { Cluster } from '../../shared/wire/gen/objects.ts';
import type { Handlers } from '../rpc/service.ts';
import { refuseRootChange } from './cluster-root.ts';
import { joinTokens, stillBarred, unlockKeys } from './cluster-keys.ts';
import type { ControlContext } from './context.ts';
import { ANNOTATIONS, listMatching } from './filters.ts';
import { redactedCluster } from './redacted-cluster.ts';
import { found, refuseProblems, required } from './refusals.ts';

type ClusterHandlers = Pick<Handlers<'Control'>, 'GetCluster' | 'ListClusters' | 'UpdateCluster'>;

export function clusterHandlers(context: ControlContext): ClusterHandlers {
  return {
    GetCluster: (request) => ({ cluster: redactedCluster(get(context, request)) }),
    ListClusters: (request) => ({ clusters: list(context, request).map(redactedCluster) }),
    UpdateCluster: async (request) => ({
      cluster: redactedCluster(await update(context, request)),
    }),
  };
}

function get({ store }: ControlContext, request: GetClusterRequest): Cluster {
  const id = required(request.clusterId, 'the cluster ID');
  return found(
    store.view((view) => view.clusters.get(id)),
    'cluster',
    id,
  );
}

function list({ store }: ControlContext, { filters }: ListClustersRequest): readonly Cluster[] {
  return store.view((view) => listMatching(view.clusters, filters, ANNOTATIONS));
}

function update(context: ControlContext, request: UpdateClusterRequest): Promise<Cluster> {
  const id = required(request.clusterId, 'the cluster ID');
  const version = required(request.clusterVersion, 'the cluster version');
  const spec = required(request.spec, 'the cluster spec');
  refuseProblems(clusterProblems(spec));
  const { keys, env, store } = context;
  return store.update((tx) => {
    const stored = found(tx.clusters.get(id), 'cluster', id);
    refuseRootChange(stored, spec.caConfig);
    tx.clusters.update({
      ...stored,
      meta: { ...stored.meta, version },
      spec,
      rootCa: { ...stored.rootCa, joinTokens: joinTokens(keys, stored, request.rotation) },
      unlockKeys: unlockKeys(keys, stored, {
        isLocked: spec.encryptionConfig.autoLockManagers,
        rotate: request.rotation.managerUnlockKey,
      }),
      blacklistedCertificates: stillBarred(stored, env.nowMs()),
    });
    return found(tx.clusters.get(id), 'cluster', id);
  });
}
