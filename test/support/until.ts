/** Waiting for what has no event: asks again and again, and gives up with words at a deadline. */
import { setTimeout as sleep } from 'node:timers/promises';

const PERIOD_MS = 50;

/**
 * The first answer of `ask` that is neither `undefined` nor `false`. An error of `ask` counts as "not
 * yet"; the last one is told when time is over.
 *
 * @param what completes the sentence "not in time: …".
 */
export async function until<T>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let cause: unknown;
  while (Date.now() < deadline) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await sleep(PERIOD_MS);
  }
  throw new Error(`not in time (${timeoutMs} ms): ${what}`, { cause });
}
