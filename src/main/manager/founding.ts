/**
 * The first objects of a new cluster (behaviour rule 3.12). They stand in the log from its first
 * write on, together with the founder's membership: there is no moment at which a crash could leave
 * half a cluster.
 */
import { durationOf } from '../../shared/model/time.ts';
import { initialNetworkSpecs } from '../../shared/model/networks.ts';
import type { Env } from '../../shared/kit/env.ts';
import { Cluster, Network, Node } from '../../shared/wire/gen/objects.ts';
import { type NodeSpecAvailability, NodeSpecMembership } from '../../shared/wire/gen/specs.ts';
import { NodeRole } from '../../shared/wire/gen/types.ts';
import { clusterRootCa, ownCertificate } from '../ca/bootstrap.ts';
import type { RootCa } from '../ca/root.ts';
import type { NodeIdentity } from '../ca/security-context.ts';
import { loneEntry } from '../store/lone-entry.ts';
import type { Transaction } from '../store/transaction.ts';
import { newNetworkKeys } from './network-keys.ts';

/** Spec values of a new cluster. */
export const CLUSTER_DEFAULTS = {
  name: 'default',
  taskHistory: 5,
  heartbeatMs: 5000,
  nodeCertExpiryMs: 2160 * 3600 * 1000,
  snapshotInterval: 10_000,
  entriesForSlowFollowers: 500,
  heartbeatTick: 1,
  electionTick: 10,
} as const;

export type Founder = {
  readonly identity: NodeIdentity;
  readonly root: RootCa;
  readonly availability: NodeSpecAvailability;
};

function newCluster({ identity, root }: Founder, env: Env): Cluster {
  const d = CLUSTER_DEFAULTS;
  return Cluster.create({
    id: identity.organization,
    spec: {
      annotations: { name: d.name },
      orchestration: { taskHistoryRetentionLimit: d.taskHistory },
      raft: {
        snapshotInterval: d.snapshotInterval,
        logEntriesForSlowFollowers: d.entriesForSlowFollowers,
        heartbeatTick: d.heartbeatTick,
        electionTick: d.electionTick,
      },
      dispatcher: { heartbeatPeriod: durationOf(d.heartbeatMs) },
      caConfig: { nodeCertExpiry: durationOf(d.nodeCertExpiryMs) },
    },
    rootCa: clusterRootCa(root),
    ...newNetworkKeys(env.randBelow),
  });
}

/** The node object of a manager that nobody let in: it founds a cluster, or restores one. */
export function newNode({ identity, availability }: Omit<Founder, 'root'>): Node {
  return Node.create({
    id: identity.nodeId,
    role: NodeRole.MANAGER,
    spec: {
      desiredRole: NodeRole.MANAGER,
      membership: NodeSpecMembership.ACCEPTED,
      availability,
    },
    certificate: ownCertificate(identity),
  });
}

/** Writes the first objects. */
function createFirstObjects(tx: Transaction, founder: Founder, env: Env): void {
  tx.clusters.create(newCluster(founder, env));
  tx.nodes.create(newNode(founder));
  for (const spec of initialNetworkSpecs()) {
    tx.networks.create(Network.create({ id: env.newId(), spec }));
  }
}

/** The log entry that creates the first objects, ready to stand behind the founder's own. */
export const foundingEntry = (founder: Founder, env: Env): Promise<Uint8Array> =>
  loneEntry(2, env, (tx) => createFirstObjects(tx, founder, env));
