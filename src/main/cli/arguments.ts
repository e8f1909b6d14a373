/** Where a command's own flags end: at the first argument, so that what follows is left alone. */

type FlagShape = { readonly type: string; readonly char?: string | undefined };

/**
 * Puts `--` in front of the first argument: `create --name web alpine ping -c 3` hands `-c 3` to ping,
 * not to us.
 *
 * @param flags the flags by name, to know which of them take the next word as their value
 */
export function endFlagsAtArgument(
  argv: readonly string[],
  flags: Readonly<Record<string, FlagShape>>,
): string[] {
  const takesValue = (word: string): boolean => {
    if (word.startsWith('--'))
      return !word.includes('=') && flags[word.slice(2)]?.type === 'option';
    const flag = Object.values(flags).find(({ char }) => char !== undefined && char === word[1]);
    return flag?.type === 'option' && word.length === 2;
  };
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '--') return [...argv];
    if (!word.startsWith('-') || word === '-')
      return [...argv.slice(0, at), '--', ...argv.slice(at)];
    if (takesValue(word)) at += 1;
  }
  return [...argv];
}
