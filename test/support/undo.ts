/**
 * Takes back what a test did to the machine: processes, namespaces, bridges, mounts, files.
 *
 * Every step is synchronous, so that it also works when the test is interrupted or its process ends in
 * the middle. Steps run in reverse, each one once, and all of them even if some fail.
 */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export class Undo implements Disposable {
  readonly #steps: { readonly what: string; readonly step: () => void }[] = [];
  readonly #onExit = (): void => void this.#run();
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.#run();
    this.#release();
    // The test runner has a handler of its own; alone, this process ends as if it had none.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };

  constructor() {
    process.on('exit', this.#onExit);
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
  }

  /** Remembers a step. `what` names it should it fail. */
  add(what: string, step: () => void): void {
    this.#steps.push({ what, step });
  }

  /** @throws AggregateError of the steps that failed, after all have run. */
  [Symbol.dispose](): void {
    const errors = this.#run();
    this.#release();
    if (errors.length > 0) throw new AggregateError(errors, 'could not clean up');
  }

  #release(): void {
    process.off('exit', this.#onExit);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }

  #run(): Error[] {
    const errors: Error[] = [];
    for (const { what, step } of this.#steps.splice(0).toReversed()) {
      try {
        step();
      } catch (cause) {
        errors.push(new Error(`could not ${what}`, { cause }));
      }
    }
    return errors;
  }
}
