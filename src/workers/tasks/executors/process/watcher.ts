/**
 * Waits for the end of processes that are not our children: one look at all of them now and then. A
 * child's end comes by itself, an adopted process's does not.
 */
import { stateOf, type ProcessIdentity } from './identity.ts';

const LOOK_MS = 200;

/** The exit code if the kernel still had it. */
export type Ending = { readonly exitCode: number | undefined };

export class ProcessWatcher {
  readonly #watched = new Map<ProcessIdentity, (ending: Ending) => void>();
  #timer: NodeJS.Timeout | undefined;

  /** Resolves when the process is no more. */
  ended(identity: ProcessIdentity): Promise<Ending> {
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.#watched.set(identity, resolve);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
    return promise;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#watched.clear();
  }

  #look(): void {
    for (const [identity, resolve] of this.#watched) {
      const state = stateOf(identity);
      if (state?.is === 'running') continue;
      this.#watched.delete(identity);
      resolve({ exitCode: state?.exitCode });
    }
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
