/**
 * What a turn still has to look at: what was freed, and who may be served now.
 *
 * Whoever frees something only notes it here; the turn serves those who waited for it before those
 * who ask anew.
 */
import { type Waiter, WaitList, WaitQueue } from './wait-list.ts';

/** Something with room for some of those who wait in its queue. */
export type Roomy = { readonly hasFree: boolean; readonly queue: WaitQueue };

/** One thing, free or not, and those who wait for it and nothing else. */
export type Single = { readonly isFree: () => boolean; readonly list: WaitList };

export class Agenda {
  /** Those to be tried now. */
  readonly ready = new WaitQueue();
  /** Where an address was freed. */
  readonly roomy = new Set<Roomy>();
  /** Addresses and ports that were freed and that somebody waits for by name. */
  readonly singles: Single[] = [];
  /** Networks that could not have a subnet or VXLAN id. */
  readonly networks = new WaitList();
  /** Notes for the manager's log. */
  readonly notices: string[] = [];

  /** Has the waiter tried in this turn, wherever it waited. */
  wake(waiter: Waiter): void {
    waiter.leave();
    this.ready.join(waiter);
  }

  wakeAll(waiters: Iterable<Waiter>): void {
    for (const waiter of waiters) this.wake(waiter);
  }
}
