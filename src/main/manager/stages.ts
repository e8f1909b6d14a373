/** A part of what the leader runs; one whose start fails has stopped again. */
export type Stage = {
  readonly name: string;
  start(): void | Promise<void>;
  stop(): void | Promise<void>;
};

/**
 * Starts parts in order; what was started stops in reverse order, also when a later start fails or the
 * signal says that all of it is over.
 */
export async function startAll(
  stages: readonly Stage[],
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  await using started = new AsyncDisposableStack();
  for (const stage of stages) {
    signal.throwIfAborted();
    await stage.start();
    started.defer(() => stage.stop());
  }
  signal.throwIfAborted();
  return started.move();
}

/** Parts that need nothing of each other, as one stage: they start and stop at the same time. */
export function beside(stages: readonly Stage[]): Stage {
  const started = new Set<Stage>();
  const stop = async (): Promise<void> => {
    const stops = [...started].map(async (stage) => stage.stop());
    started.clear();
    await allOf(stops);
  };
  const start = async (): Promise<void> => {
    const starts = stages.map(async (stage) => {
      await stage.start();
      started.add(stage);
    });
    try {
      await allOf(starts);
    } catch (error) {
      await stop();
      throw error;
    }
  };
  return { name: stages.map(({ name }) => name).join(' and '), start, stop };
}

/** Waits for all, whatever befalls some. @throws what befell the first of them */
async function allOf(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}
