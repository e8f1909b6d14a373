/**
 * Plays raft scripts and compares what happens with what they say must happen.
 *
 * Log lines, which begin with DEBUG, INFO, WARN or ERROR, are not compared: their wording is not
 * behaviour. `ok` stands for no output at all, `ok (quiet)` for one that the log level kept back.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from './cluster.ts';
import { runStep } from './commands.ts';
import type { World } from './commands.ts';
import { Output } from './output.ts';
import { parseScript } from './script.ts';
import type { Step } from './script.ts';

/** The first step of a script that went otherwise. */
export type Mismatch = {
  readonly line: number;
  readonly command: string;
  readonly expected: readonly string[];
  readonly actual: readonly string[];
};

export type Outcome = {
  readonly file: string;
  /** Steps that went as written. */
  readonly steps: number;
  readonly mismatch: Mismatch | null;
};

/** Plays every script in `folder`, in order of name. */
export function playFolder(folder: string): readonly Outcome[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return files.toSorted().map((file) => {
    return { file, ...playScript(readFileSync(join(folder, file), 'utf8')) };
  });
}

export function playScript(text: string): Omit<Outcome, 'file'> {
  const output = new Output();
  const world = { cluster: new Cluster(output), output };
  let steps = 0;
  for (const step of parseScript(text)) {
    const actual = compared(play(world, step));
    const expected = compared(step.expected);
    if (actual.join('\n') !== expected.join('\n')) {
      const { line, command } = step;
      return { steps, mismatch: { line, command: command.name, expected, actual } };
    }
    steps += 1;
  }
  return { steps, mismatch: null };
}

/** Writes into every script of `folder` what happens now, for its author to read and judge. */
export function rewriteFolder(folder: string): void {
  for (const { file } of playFolder(folder)) {
    const path = join(folder, file);
    writeFileSync(path, rewriteScript(readFileSync(path, 'utf8')));
  }
}

function rewriteScript(text: string): string {
  const output = new Output();
  const world = { cluster: new Cluster(output), output };
  const lines = text.split('\n');
  const steps = parseScript(text).map((step) => ({ ...step, actual: play(world, step) }));
  for (const { span, actual } of steps.toReversed()) {
    const said = actual.length === 0 ? ['ok'] : actual;
    lines.splice(span.start, span.end - span.start, '----', ...said);
  }
  return lines.join('\n');
}

/** What the step says; an exception is an outcome like another, and never the expected one. */
function play(world: World, step: Step): readonly string[] {
  try {
    runStep(world, step);
    return world.output.take();
  } catch (error) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return [...world.output.take(), ...stack.split('\n')];
  }
}

const NOTHING = new Set(['ok', 'ok (quiet)']);

const LOG_LINE = /^\s*(?:DEBUG|INFO|WARN|ERROR)\b/;

function compared(lines: readonly string[]): readonly string[] {
  const kept = lines
    .map((line) => line.trimEnd())
    .filter((line) => line !== '' && !LOG_LINE.test(line));
  return kept.length === 1 && NOTHING.has(kept[0] ?? '') ? [] : kept;
}
