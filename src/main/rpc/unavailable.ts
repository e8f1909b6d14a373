/** What a caller is told when nobody can answer: the texts are SwarmKit's where it has one. */
import { Code, RpcError } from './errors.ts';

/** No leader was found, or none that a majority confirms. */
export const noLeader = (): RpcError =>
  new RpcError(
    Code.UNKNOWN,
    "The swarm does not have a leader. It's possible that too few managers are online. " +
      'Make sure more than half of the managers are online.',
  );

export const stopping = (): RpcError => new RpcError(Code.UNAVAILABLE, 'this manager is stopping');
