/** What a node does that leaves its cluster for good. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeRole } from '../../shared/wire/gen/types.ts';
import type { Log } from '../log.ts';
import { Channel } from '../rpc/client.ts';

const STEP_DOWN = {
  callMs: 5000,
  /** For the demotion to happen; leadership may have to go elsewhere first. */
  timeoutMs: 20_000,
  pollMs: 50,
} as const;

/** The first is what makes a node one of its cluster: without it the rest is of no use. */
const KEPT = ['certificates', 'raft', 'worker', 'state.json'] as const;

/** Takes away all that makes this state directory a node of its cluster. */
export async function forgetCluster(stateDir: string): Promise<void> {
  for (const name of KEPT) await rm(join(stateDir, name), { recursive: true, force: true });
}

export type StepDown = {
  /** The manager's own control socket. */
  readonly socket: string;
  readonly nodeId: string;
  readonly isWorker: () => boolean;
  readonly log: Log;
};

/**
 * Asks the cluster to make this manager a worker, and waits until it is. Never rejects: where the others
 * cannot do without it, or do not answer, it goes all the same.
 */
export async function stepDown({ socket, nodeId, isWorker, log }: StepDown): Promise<void> {
  try {
    using channel = new Channel({ to: 'socket', path: socket });
    const control = channel.service('Control');
    const call = { timeoutMs: STEP_DOWN.callMs };
    const { node } = await control.GetNode({ nodeId }, call);
    const spec = { ...node?.spec, desiredRole: NodeRole.WORKER };
    await control.UpdateNode({ nodeId, nodeVersion: node?.meta.version, spec }, call);
  } catch (error) {
    log.warn({ error }, 'this manager leaves without being demoted');
    return;
  }
  const beganMs = performance.now();
  while (!isWorker() && performance.now() - beganMs < STEP_DOWN.timeoutMs) {
    await sleep(STEP_DOWN.pollMs);
  }
}
