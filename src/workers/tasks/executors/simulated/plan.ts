/**
 * How a simulated task lives: how long each step takes, how long it runs, and how it ends. The
 * executor's own plan holds for all tasks; a service changes it by labels `skein.sim.*` on its
 * container or on itself.
 */
import type { Task } from '../../../../shared/wire/gen/objects.ts';
import { FatalError } from '../errors.ts';

/** A time in milliseconds, drawn evenly between the two for each task. */
export type Span = readonly [leastMs: number, mostMs: number];

export type SimulatedPlan = {
  readonly prepareMs: Span;
  readonly startMs: Span;
  /** How long a task runs before it ends by itself; undefined for until it is stopped. */
  readonly runMs: Span | undefined;
  readonly stopMs: Span;
  /** Share of tasks, 0 to 1, whose preparation fails. */
  readonly rejectRate: number;
  /** Share of tasks that end with code 1 rather than `exitCode`, or do so after `runMs`. */
  readonly failRate: number;
  readonly exitCode: number;
};

export const DEFAULT_PLAN: SimulatedPlan = {
  prepareMs: [0, 0],
  startMs: [0, 0],
  runMs: undefined,
  stopMs: [0, 0],
  rejectRate: 0,
  failRate: 0,
  exitCode: 0,
};

const PREFIX = 'skein.sim.';

/** The plan for a task; the very same object where no label changes it. @throws FatalError */
export function planFor(base: SimulatedPlan, task: Task): SimulatedPlan {
  const container = task.spec.runtime?.case === 'container' ? task.spec.runtime.value : undefined;
  let plan = base;
  for (const labels of [task.serviceAnnotations.labels, container?.labels ?? {}]) {
    for (const key in labels) {
      if (key.startsWith(PREFIX)) plan = changed(plan, key.slice(PREFIX.length), labels[key] ?? '');
    }
  }
  return plan;
}

function changed(plan: SimulatedPlan, name: string, text: string): SimulatedPlan {
  switch (name) {
    case 'prepare-ms':
      return { ...plan, prepareMs: span(name, text) };
    case 'start-ms':
      return { ...plan, startMs: span(name, text) };
    case 'run-ms':
      return { ...plan, runMs: text === 'forever' ? undefined : span(name, text) };
    case 'stop-ms':
      return { ...plan, stopMs: span(name, text) };
    case 'reject-rate':
      return { ...plan, rejectRate: number(name, text) };
    case 'fail-rate':
      return { ...plan, failRate: number(name, text) };
    case 'exit-code':
      return { ...plan, exitCode: number(name, text) };
    default:
      throw new FatalError(`simulated: unknown label ${PREFIX}${name}`);
  }
}

/** `50` or `50-100`, in milliseconds. */
function span(name: string, text: string): Span {
  const [least = '', most = least] = text.split('-');
  return [number(name, least), number(name, most)];
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new FatalError(`simulated: label ${PREFIX}${name} is no number: ${JSON.stringify(text)}`);
  }
  return value;
}
