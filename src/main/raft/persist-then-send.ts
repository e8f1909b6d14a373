/**
 * The first half of carrying out a Ready: what leaves at once, what is stored, what leaves then
 * (steps 1 to 3 of `core/ready.ts`).
 *
 * Nothing else holds the way to the peers, and nothing else writes what raft wants stored. So a vote or
 * an acknowledgement cannot leave before the disk has what it promises: the two are lists of their own.
 */
import type { HardState, Message } from '../../shared/wire/gen/raftpb.ts';
import type { Persist, Ready } from './core/ready.ts';
import type { DurableLog, ReceivedSnapshot } from './log/durable-log.ts';

export class PersistThenSend {
  readonly #log: DurableLog;
  readonly #send: (messages: readonly Message[]) => void;
  /** Its only news is the commit mark, which promises nothing to anybody: it goes with the next write. */
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
    if (persist.mustSync) await this.#save(persist, snapshot);
    this.#send(ready.sendAfterPersist);
  }

  /** Stores what is held back. No Ready may be on its way. */
  async flush(): Promise<void> {
    if (this.#heldHardState === null) return;
    await this.#save({ hardState: null, snapshot: null, entries: [], mustSync: false });
  }

  async #save(persist: Persist, received?: ReceivedSnapshot): Promise<void> {
    const hardState = this.#heldHardState;
    this.#heldHardState = null;
    await this.#log.save({ ...persist, hardState }, received);
  }
}
