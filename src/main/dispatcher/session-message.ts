/** What a node hears in its session: itself, its managers, the network keys and the root (rule 5.4). */
import { SessionMessage } from '../../shared/wire/gen/dispatcher.ts';
import type { WeightedPeer } from '../../shared/wire/gen/types.ts';
import type { View } from '../store/view.ts';

/** Weight of a manager among those that a node chooses from. */
export const MANAGER_WEIGHT = 10;

/**
 * The full message. `managers` must list every manager each time: a node forgets those that are not
 * named (interop, section 3.4).
 */
export function sessionMessage(
  view: View,
  nodeId: string,
  sessionId: string,
  managers: readonly WeightedPeer[],
): SessionMessage {
  const [cluster] = view.clusters.all();
  return SessionMessage.create({
    sessionId,
    node: view.nodes.get(nodeId),
    managers,
    networkBootstrapKeys: cluster?.networkBootstrapKeys ?? [],
    rootCa: cluster?.rootCa.caCert ?? new Uint8Array(),
  });
}
