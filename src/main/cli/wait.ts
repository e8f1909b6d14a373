/** Waits until services run as asked, and says how it ended, in words and as an exit code. */
import { setTimeout as sleep } from 'node:timers/promises';
import { realEnv } from '../env.ts';
import { CommandError, ExitCode } from './command-error.ts';
import type { Control } from './connection.ts';
import { forFlag } from './flag-map.ts';
import { Convergence, type Judgement, type Observation } from './core/convergence.ts';
import type { Progress } from './progress.ts';
import { durationMs } from '../../shared/model/time.ts';
import { durationOf } from './syntax/quantities.ts';

const POLL_MS = 200;
const WATCH_MS = 1000;
/** While one only looks, nothing is given up. */
const WATCHING = { stableMs: 0, failuresMax: Number.POSITIVE_INFINITY };
/** A look at a large service takes long; the manager gets at least this many times as long for itself. */
const REST_FACTOR = 4;

export type Waited = { readonly id: string; readonly name: string };

export type WaitOptions = {
  /** 0 for ever. */
  readonly timeoutMs: number;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
};

/** Milliseconds of `--timeout`. */
export function timeoutMsOf(text: string): number {
  return forFlag('timeout', () => durationMs(durationOf(text)));
}

async function look(control: Control, id: string): Promise<Observation> {
  const filters = { serviceIds: [id] };
  const [{ service }, { statuses }, { tasks }, current] = await Promise.all([
    control.GetService({ serviceId: id }),
    control.ListServiceStatuses({ services: [id] }),
    control.ListTasks({ filters }),
    control.ListTasks({ filters: { ...filters, upToDate: true } }),
  ]);
  if (service === undefined) throw new CommandError(`service ${id} not found`);
  const [status] = statuses;
  return {
    service,
    desiredTasks: status?.desiredTasks ?? 0,
    completedTasks: status?.completedTasks ?? 0,
    tasks,
    upToDate: new Set(current.tasks.map((task) => task.id)),
  };
}

/** The judgement that ended the wait; one that is still waiting when time was up. */
async function waitForOne(
  control: Control,
  { id, name }: Waited,
  { timeoutMs, progress, signal }: WaitOptions,
): Promise<Judgement> {
  const convergence = new Convergence();
  const startedMs = realEnv.nowMs();
  for (;;) {
    const lookedMs = realEnv.nowMs();
    const judgement = convergence.observe(await look(control, id), lookedMs);
    progress.update(name, judgement);
    if (judgement.outcome !== 'waiting') return judgement;
    const nowMs = realEnv.nowMs();
    if (timeoutMs > 0 && nowMs - startedMs >= timeoutMs) return judgement;
    await sleep(Math.max(POLL_MS, (nowMs - lookedMs) * REST_FACTOR), undefined, { signal });
  }
}

/**
 * Shows what becomes of all services, until the signal aborts. A manager that does not answer for a
 * while is asked again.
 */
export async function watchServices(
  control: Control,
  { progress, signal }: { readonly progress: Progress; readonly signal: AbortSignal },
): Promise<void> {
  const seen = new Map<string, Convergence>();
  while (!signal.aborted) {
    const startedMs = realEnv.nowMs();
    try {
      const { services } = await control.ListServices({}, { signal });
      for (const { id, spec } of services) {
        const convergence = seen.get(id) ?? new Convergence(WATCHING);
        seen.set(id, convergence);
        progress.update(
          spec.annotations.name,
          convergence.observe(await look(control, id), realEnv.nowMs()),
        );
      }
      await sleep(Math.max(WATCH_MS, (realEnv.nowMs() - startedMs) * REST_FACTOR), undefined, {
        signal,
      });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (!signal.aborted) await pause(signal);
    }
  }
  progress.end();
}

/** Until it is worth to ask again, or the signal aborts. */
async function pause(signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, WATCH_MS);
  signal.addEventListener('abort', () => over.resolve(), { once: true });
  await over.promise;
  clearTimeout(timer);
}

function failureOf({ name }: Waited, judgement: Judgement): CommandError | undefined {
  const { outcome, ready, wanted, problem } = judgement;
  const because = problem === '' ? '' : `: ${problem}`;
  const count = `${ready} of ${wanted} tasks are ready`;
  if (outcome === 'converged') return undefined;
  if (outcome === 'failed') {
    return new CommandError(`service ${name} keeps failing, ${count}${because}`);
  }
  if (outcome === 'paused') {
    return new CommandError(`the update of service ${name} is paused${because}`, ExitCode.PAUSED);
  }
  if (outcome === 'rolled-back') {
    return new CommandError(`service ${name} was rolled back${because}`, ExitCode.ROLLED_BACK);
  }
  const text = `service ${name} did not converge in time, ${count}${because}`;
  return new CommandError(text, ExitCode.TIMEOUT);
}

/**
 * Waits for all of them at once.
 *
 * @throws CommandError of the first that did not converge, once all have ended; or that the wait was
 * interrupted, which changes nothing in the cluster
 */
export async function waitForServices(
  control: Control,
  services: readonly Waited[],
  options: WaitOptions,
): Promise<void> {
  const interrupted = new AbortController();
  const onInterrupt = (): void => interrupted.abort();
  process.once('SIGINT', onInterrupt);
  const signal = AbortSignal.any([
    interrupted.signal,
    ...(options.signal === undefined ? [] : [options.signal]),
  ]);
  try {
    const ends = await Promise.all(
      services.map(async (service) =>
        failureOf(service, await waitForOne(control, service, { ...options, signal })),
      ),
    );
    const failure = ends.find((end) => end !== undefined);
    if (failure !== undefined) throw failure;
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CommandError(
      'the wait was interrupted; the services go on by themselves',
      ExitCode.INTERRUPTED,
    );
  } finally {
    process.off('SIGINT', onInterrupt);
    options.progress.end();
  }
}
