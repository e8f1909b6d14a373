/** Starts parts in order; what was started stops in reverse order, also when a later start fails. */
export type Stage = {
  readonly name: string;
  start(): void | Promise<void>;
  stop(): void | Promise<void>;
};

export async function startAll(stages: readonly Stage[]): Promise<AsyncDisposable> {
  await using started = new AsyncDisposableStack();
  for (const stage of stages) {
    await stage.start();
    started.defer(() => stage.stop());
  }
  return started.move();
}
