/**
 * The wish that a running operation end: much lighter than an AbortController, which is made only for
 * those operations that need a signal.
 */
export class Cancellation {
  #cancelled = false;
  #listener: (() => void) | undefined;
  #abort: AbortController | undefined;

  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** For calls that take a signal. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#cancelled) this.#abort.abort();
    return this.#abort.signal;
  }

  /** Calls back once when cancelled; one listener at a time, a later one replaces it. */
  onCancel(listener: () => void): void {
    if (this.#cancelled) listener();
    else this.#listener = listener;
  }

  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#listener?.();
    this.#abort?.abort();
  }
}
