/**
 * A flag that one loop waits on: events only set it, however many there are, and the loop works at its
 * own pace. `fail` ends the loop from outside.
 */
export class Mark {
  #set = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  set(): void {
    this.#set = true;
    this.#wake?.();
  }

  /** Every wait, now and later, throws `error`. The first failure stays. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  /** Waits until the flag is set, and lowers it. @throws what `fail` was given, or the signal's reason. */
  async next(signal: AbortSignal): Promise<void> {
    const abort = (): void => {
      const { reason } = signal;
      this.fail(reason instanceof Error ? reason : new Error(String(reason)));
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      if (signal.aborted) abort();
      while (!this.#set && this.#failure === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#wake = undefined;
      signal.removeEventListener('abort', abort);
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#set = false;
  }
}
