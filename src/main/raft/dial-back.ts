/**
 * What the leader asks a manager that wants to become a member, at the address it gives (behaviour
 * rule 3.3).
 */
import { HealthCheckResponseServingStatus as Serving } from '../../shared/wire/gen/health.ts';
import type { Channel } from '../rpc/client.ts';
import { Code, hasCode, RpcError } from '../rpc/errors.ts';

/** For a new member to answer at its address. */
const DIAL_BACK_MS = 5000;

/** @throws RpcError Unknown when nobody answers there, or somebody who takes no part in raft. */
export async function dialBack(
  connect: (address: string) => Channel,
  address: string,
): Promise<void> {
  using channel = connect(address);
  const answer = channel
    .service('Health')
    .Check({ service: 'Raft' }, { timeoutMs: DIAL_BACK_MS })
    .catch((error: unknown) => {
      const why = error instanceof RpcError ? error.goText : String(error);
      throw new RpcError(
        Code.UNKNOWN,
        `could not connect to prospective new cluster member using its advertised address: ${why}`,
      );
    });
  const { status } = await answer;
  if (status === Serving.SERVING) {
    await mustBeOurs(channel);
    return;
  }
  const name = Object.entries(Serving).find(([, value]) => value === status)?.[0] ?? status;
  throw new RpcError(Code.UNKNOWN, `health check returned status ${name}`);
}

/**
 * A Docker Engine takes part in raft too, but its managers and ours can't share a quorum yet: one
 * that was let in would only stop the cluster.
 */
async function mustBeOurs(channel: Channel): Promise<void> {
  try {
    await channel.service('Health').Check({ service: 'Skein' }, { timeoutMs: DIAL_BACK_MS });
  } catch (error) {
    if (!hasCode(error, Code.NOT_FOUND)) throw error;
    throw new RpcError(
      Code.FAILED_PRECONDITION,
      'a Docker Engine cannot be a manager of this cluster yet: join it with the worker token',
    );
  }
}
