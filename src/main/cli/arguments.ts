/** Arguments of commands, and where a command's own flags end. */
import { Args } from '@oclif/core';

/** An argument that must be there. It is never read from standard input, which may be meant for us. */
export const argument = (description: string) =>
  Args.string({ description, required: true, ignoreStdin: true });

type FlagShape = { readonly type: string; readonly char?: string | undefined };

/** A command line, cut where its first argument stands. */
export type Split = { readonly own: string[]; readonly words: readonly string[] };

/**
 * Our own flags, and what follows them: `create --name web alpine ping -c 3` hands `-c 3` to ping, not
 * to us. A `--` ends our flags too, and is no word.
 *
 * @param flags the flags by name, to know which of them take the next word as their value
 */
export function splitAtArgument(
  argv: readonly string[],
  flags: Readonly<Record<string, FlagShape>>,
): Split {
  const takesValue = (word: string): boolean => {
    if (word.startsWith('--')) {
      return !word.includes('=') && flags[word.slice(2)]?.type === 'option';
    }
    const flag = Object.values(flags).find(({ char }) => char !== undefined && char === word[1]);
    return flag?.type === 'option' && word.length === 2;
  };
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '--') return { own: argv.slice(0, at), words: argv.slice(at + 1) };
    if (!word.startsWith('-') || word === '-') {
      return { own: argv.slice(0, at), words: argv.slice(at) };
    }
    if (takesValue(word)) at += 1;
  }
  return { own: [...argv], words: [] };
}
