/**
 * Handing leadership over to the member that is fit for it (behaviour rule 3.7).
 *
 * The core gives a successor one election timeout and then goes on leading, so the wish is told again
 * until another leads or the time is up.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** Entries that a member may lack and still count as one that keeps up. */
const LAG_ALIKE = 100;

/** Another member, as the leader sees it. */
export type Candidate = {
  readonly raftId: bigint;
  /** Entries that it is not known to have stored. */
  readonly lag: number;
  /** Since when it is reached without a break; undefined when it is not reached. */
  readonly reachedSinceMs: number | undefined;
};

/** Of those reached the most caught-up, and of those who keep up the one reached for longest. */
export function successor(candidates: readonly Candidate[]): bigint | undefined {
  const lagOf = ({ lag }: Candidate): number => (lag <= LAG_ALIKE ? 0 : lag);
  const [best] = candidates
    .filter(({ reachedSinceMs }) => reachedSinceMs !== undefined)
    .toSorted((a, b) => lagOf(a) - lagOf(b) || (a.reachedSinceMs ?? 0) - (b.reachedSinceMs ?? 0));
  return best?.raftId;
}

export type Handover = {
  readonly leading: () => boolean;
  readonly candidates: () => readonly Candidate[];
  readonly transfer: (to: bigint) => void;
  /** How often it is looked whether another leads. */
  readonly pollMs: number;
  /** After which a successor that does not lead was tried in vain. */
  readonly attemptMs: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};

/**
 * Resolves when this member leads no more.
 * @throws Error when nobody could take over in time; the signal's reason
 */
export async function handOver(handover: Handover): Promise<void> {
  const { leading, candidates, transfer, pollMs, attemptMs, timeoutMs, signal } = handover;
  const beganMs = performance.now();
  let againAtMs = beganMs;
  while (leading()) {
    const nowMs = performance.now();
    if (nowMs - beganMs > timeoutMs) throw new Error('leadership was not taken over in time');
    if (nowMs >= againAtMs) {
      const to = successor(candidates());
      if (to === undefined) throw new Error('failed to get longest-active member');
      transfer(to);
      againAtMs = nowMs + attemptMs;
    }
    await sleep(pollMs, undefined, { signal });
  }
}
