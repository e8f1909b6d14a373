/** The JSON lines that a run writes and a report reads. */
import { readFileSync } from 'node:fs';
import type { Goal, Label, Size } from './bench.ts';
import { median } from './stats.ts';

export type RunLine = {
  readonly t: 'run';
  readonly bench: string;
  readonly size: Size;
  readonly at: string;
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  /** What was measured, as git names it; null outside a checkout. */
  readonly commit: string | null;
};

export type FigureLine = Label & {
  readonly t: 'figure';
  readonly bench: string;
  readonly samples: readonly number[];
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Cores that other processes used meanwhile; null if unknown. */
  readonly othersCores: number | null;
};

/** How one benchmark of a run of all ended. */
export type EndLine = {
  readonly t: 'end';
  readonly bench: string;
  readonly failed: boolean;
  readonly seconds: number;
};

export type Line = RunLine | FigureLine | EndLine;

export function figure(
  bench: string,
  label: Label,
  samples: readonly number[],
  othersCores: number,
): FigureLine {
  return {
    t: 'figure',
    bench,
    ...label,
    samples,
    median: median(samples),
    min: Math.min(...samples),
    max: Math.max(...samples),
    othersCores: Number.isFinite(othersCores) ? Math.round(othersCores * 100) / 100 : null,
  };
}

/** Whether a figure's median keeps its goal; undefined without one. */
export function keeps({ goal, median: value }: FigureLine): boolean | undefined {
  return goal === undefined ? undefined : isKept(goal, value);
}

export function isKept(goal: Goal, value: number): boolean {
  return 'atLeast' in goal ? value >= goal.atLeast : value <= goal.atMost;
}

export function goalText(goal: Goal, text: (value: number) => string): string {
  return 'atLeast' in goal ? `≥ ${text(goal.atLeast)}` : `≤ ${text(goal.atMost)}`;
}

/** Reads what runs have written. @throws Error that names file and line of what is no such line */
export function readLines(file: string): Line[] {
  const texts = readFileSync(file, 'utf8').split('\n');
  return texts.flatMap((text, index) => {
    if (text === '') return [];
    const line: unknown = JSON.parse(text);
    if (!isLine(line)) throw new Error(`${file}:${index + 1} was not written by a benchmark`);
    return [line];
  });
}

function isLine(value: unknown): value is Line {
  if (typeof value !== 'object' || value === null || !('t' in value)) return false;
  return value.t === 'run' || value.t === 'figure' || value.t === 'end';
}
