/**
 * The first half of carrying out a Ready: what leaves at once, what is stored, what leaves then
 * (steps 1 to 3 of `core/ready.ts`).
 *
 * Nothing else holds the way to the peers, and nothing else writes what raft wants stored. So a vote or
 * an acknowledgement cannot leave before the disk has what it promises: the two are lists of their own.
 */
import { EntryType, type HardState, type Message } from '../../shared/wire/gen/raftpb.ts';
import type { Persist, Ready } from './core/ready.ts';
import type { DurableLog, ReceivedSnapshot } from './log/durable-log.ts';

/** How far the stored commit mark may be behind: it costs a save about as much as an entry. */
const MARK_LAG_MAX = 64;

export class PersistThenSend {
  readonly #log: DurableLog;
  readonly #send: (messages: readonly Message[]) => void;
  /** Its only news is the commit mark, which promises nothing to anybody: it goes with a later write. */
  #heldHardState: HardState | null = null;

  constructor(log: DurableLog, send: (messages: readonly Message[]) => void) {
    this.#log = log;
    this.#send = (messages) => {
      if (messages.length > 0) send(messages);
    };
  }

  /** @param received the snapshot of `ready.persist`, exactly when there is one, once it may be stored */
  async carryOut(ready: Ready, received?: Promise<ReceivedSnapshot>): Promise<void> {
    const { persist } = ready;
    this.#send(ready.sendNow);
    const snapshot = received && (await received);
    this.#heldHardState = persist.hardState ?? this.#heldHardState;
    if (persist.mustSync) await this.#save(persist, { withState: !this.#mayWait(ready), snapshot });
    this.#send(ready.sendAfterPersist);
  }

  /** Stores what is held back. No Ready may be on its way. */
  async flush(): Promise<void> {
    if (this.#heldHardState === null) return;
    const nothing = { hardState: null, snapshot: null, entries: [], mustSync: false };
    await this.#save(nothing, { withState: true, snapshot: undefined });
  }

  /**
   * Whether the hard state says no more than a commit mark a little ahead of the one that is stored. What a
   * restart must not forget is not in it: a term, a vote, the commit of another membership.
   */
  #mayWait({ persist, committed }: Ready): boolean {
    const held = this.#heldHardState;
    if (held === null) return true;
    const { term, vote, commit } = this.#log.initialState().hardState;
    const reconfigures = committed.some(({ type }) => type !== EntryType.EntryNormal);
    return (
      held.term === term &&
      held.vote === vote &&
      held.commit - commit < MARK_LAG_MAX &&
      persist.snapshot === null &&
      !reconfigures
    );
  }

  async #save(
    persist: Persist,
    { withState, snapshot }: { withState: boolean; snapshot: ReceivedSnapshot | undefined },
  ): Promise<void> {
    const hardState = withState ? this.#heldHardState : null;
    if (withState) this.#heldHardState = null;
    await this.#log.save({ ...persist, hardState }, snapshot);
  }
}
