/** Changes of the membership on their way through this leader's log, one after the other. */
import type { ConfChange } from '../../shared/wire/gen/raftpb.ts';

export type MembershipChange = Pick<ConfChange, 'type' | 'nodeId' | 'context'>;

export class MembershipChanges {
  readonly #propose: (change: ConfChange) => void;
  #lastId: bigint;
  #underWay: { readonly id: bigint; readonly settled: PromiseWithResolvers<void> } | undefined;
  #last: Promise<void> = Promise.resolve();

  /** Ids count from `firstId`, which is not used itself. `propose` throws when it is refused. */
  constructor(firstId: bigint, propose: (change: ConfChange) => void) {
    this.#lastId = firstId;
    this.#propose = propose;
  }

  /** Waits for those before it: the core makes nothing of a second one. Resolves when it is applied. */
  make(change: MembershipChange): Promise<void> {
    const done = this.#last.then(() => this.#begin(change));
    this.#last = done.catch(() => undefined);
    return done;
  }

  applied(id: bigint): void {
    if (this.#underWay?.id !== id) return;
    this.#underWay.settled.resolve();
    this.#underWay = undefined;
  }

  /** The one under way may or may not come to pass. */
  lost(error: Error): void {
    this.#underWay?.settled.reject(error);
    this.#underWay = undefined;
  }

  #begin(change: MembershipChange): Promise<void> {
    const id = (this.#lastId += 1n);
    this.#propose({ ...change, id });
    const settled = Promise.withResolvers<void>();
    this.#underWay = { id, settled };
    return settled.promise;
  }
}
