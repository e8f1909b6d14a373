/** The calls that a listener is answering, and what a handler may ask of its own. */

/** The call is over: the reason of its signal, and what a write after that throws. */
export class CallEnded extends Error {
  override readonly name = 'CallEnded';

  constructor() {
    super('the call has ended');
  }
}

/** What a handler may ask of its call. The signal is made when it is asked for: most calls need none. */
export type CallContext = {
  /** Aborted when the call is over: its caller is gone, its deadline has passed, or it was answered. */
  readonly signal: AbortSignal;
};

/** A call that is being answered. */
export class LiveCall implements CallContext {
  #controller: AbortController | undefined;
  over = false;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.over) this.#controller.abort(new CallEnded());
    }
    return this.#controller.signal;
  }

  end(): void {
    this.over = true;
    this.#controller?.abort(new CallEnded());
  }
}

/** The calls that a listener is answering: each can be waited for, and all can be ended. */
export class LiveCalls {
  readonly #calls = new Set<LiveCall>();
  #onIdle: (() => void) | undefined;

  /** Counts a call until `end`. */
  begin(): LiveCall {
    const live = new LiveCall();
    this.#calls.add(live);
    return live;
  }

  /** Resolves when no call is left. */
  idle(): Promise<void> {
    if (this.#calls.size === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#onIdle = resolve));
  }

  /** Ends every call for its handler. */
  endAll(): void {
    for (const call of this.#calls) this.end(call);
  }

  /** The caller is gone, its deadline has passed, or it was answered. */
  end(call: LiveCall): void {
    this.#calls.delete(call);
    call.end();
    if (this.#calls.size === 0) this.#onIdle?.();
  }
}
