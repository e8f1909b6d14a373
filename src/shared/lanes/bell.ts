/**
 * A bell: how one thread sleeps until another has something for it.
 *
 * The sleeper says what it wants (`want`), looks once more whether it is already there, and sleeps on
 * the count it saw before looking. The peer changes the state first and then rings: it raises the
 * count only when the sleeper wants that. Whatever the interleaving, either the sleeper's look finds
 * the change or the count differs from the one it sleeps on; so no wake-up is lost, and a busy peer
 * costs its partner one load instead of a system call.
 *
 * One thread sleeps on a bell; the peer rings it, and the sleeper may ring its own.
 */

/** What a sleeper waits for; a bit set. */
export const WANT = { data: 1, space: 2 } as const;

const COUNT = 0;
const WANTED = 1;
const WAKE_UPS = 2;

/** Words of shared memory of one bell; the memory must start as zeros. */
export const BELL_WORDS = 3;

export class Bell {
  readonly #words: Int32Array<SharedArrayBuffer>;

  constructor(words: Int32Array<SharedArrayBuffer>) {
    this.#words = words;
  }

  /** How often a sleeper was woken, modulo 2^32. */
  get wakeUps(): number {
    return Atomics.load(this.#words, WAKE_UPS) >>> 0;
  }

  /** Sleeper: the count to sleep on; read it before looking at any state. */
  ticket(): number {
    return Atomics.load(this.#words, COUNT);
  }

  /** Sleeper: asks to be rung for `wants`; look at the state once more after this. */
  want(wants: number): void {
    Atomics.or(this.#words, WANTED, wants);
  }

  /** Peer: wakes the sleeper if it wants any of `reasons`. Change the state before this. */
  ring(reasons: number): void {
    if ((Atomics.load(this.#words, WANTED) & reasons) === 0) return;
    Atomics.store(this.#words, WANTED, 0);
    this.ringAlways();
  }

  /** Wakes the sleeper whatever it wants. */
  ringAlways(): void {
    Atomics.add(this.#words, COUNT, 1);
    Atomics.notify(this.#words, COUNT);
  }

  /** Sleeper: blocks this thread until the count differs from `ticket`, or for `timeoutMs`. */
  sleep(ticket: number, timeoutMs: number): void {
    const outcome = Atomics.wait(this.#words, COUNT, ticket, timeoutMs);
    if (outcome === 'ok') Atomics.add(this.#words, WAKE_UPS, 1);
  }

  /** Sleeper: resolves when the count differs from `ticket`; the thread goes on meanwhile. */
  async wait(ticket: number): Promise<void> {
    const waiting = Atomics.waitAsync(this.#words, COUNT, ticket);
    if (!waiting.async) return;
    await waiting.value;
    Atomics.add(this.#words, WAKE_UPS, 1);
  }
}
