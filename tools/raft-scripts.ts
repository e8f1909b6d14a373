/**
 * `npm run raft:scripts -- [folder] [--rewrite]`: plays the raft scripts of a folder, our own by
 * default, and shows for each that fails the first step that went otherwise. With `--rewrite` it
 * first writes into them what happens now; the difference is then for a person to judge.
 */
import { playFolder, rewriteFolder } from '../test/transcripts/play.ts';
import type { Outcome } from '../test/transcripts/play.ts';

const OWN_SCRIPTS = new URL('../test/transcripts/raft', import.meta.url).pathname;

function report({ file, steps, mismatch }: Outcome): void {
  if (mismatch === null) {
    console.log(`ok    ${file} (${steps} steps)`);
    return;
  }
  console.log(`FAIL  ${file}:${mismatch.line} ${mismatch.command}`);
  for (const line of diff(mismatch.expected, mismatch.actual)) console.log(`      ${line}`);
}

/** Both sides around the first line that differs: `-` is expected, `+` is what happened. */
function diff(expected: readonly string[], actual: readonly string[]): readonly string[] {
  const same = expected.findIndex((line, at) => line !== actual[at]);
  const at = same === -1 ? expected.length : same;
  return [
    ...expected.slice(Math.max(0, at - 3), at).map((line) => `  ${line}`),
    ...expected.slice(at, at + 12).map((line) => `- ${line}`),
    ...actual.slice(at, at + 12).map((line) => `+ ${line}`),
  ];
}

const words = process.argv.slice(2);
const folder = words.find((word) => !word.startsWith('--')) ?? OWN_SCRIPTS;
if (words.includes('--rewrite')) rewriteFolder(folder);
const outcomes = playFolder(folder);
outcomes.forEach(report);
const failed = outcomes.filter(({ mismatch }) => mismatch !== null).length;
console.log(`${outcomes.length - failed} of ${outcomes.length} scripts passed`);
if (failed > 0 || outcomes.length === 0) process.exitCode = 1;
