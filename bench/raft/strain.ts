/** What work does to a process: how long its longest turn was, and how much memory it took at most. */

export type Strain = {
  /** Processor time of the longest turn of the event loop, ms. */
  readonly longestTurnMs: number;
  /** Bytes in buffers at most, less those at the beginning. */
  readonly bufferBytes: number;
};

/** Turns shorter than this are not told apart: the kernel's clock is too coarse. */
const LOOK_MS = 2;

/** Watches this process until it is stopped. */
export function watchStrain(): { readonly stop: () => Strain } {
  const atStart = process.memoryUsage().arrayBuffers;
  let longestTurnMs = 0;
  let most = atStart;
  let before = process.threadCpuUsage();
  const timer = setInterval(() => {
    const used = process.threadCpuUsage(before);
    before = process.threadCpuUsage();
    longestTurnMs = Math.max(longestTurnMs, (used.user + used.system) / 1000);
    most = Math.max(most, process.memoryUsage().arrayBuffers);
  }, LOOK_MS);
  timer.unref(); // who watches does not stay for that alone
  return {
    stop: () => {
      clearInterval(timer);
      return { longestTurnMs, bufferBytes: most - atStart };
    },
  };
}
