/** What runs on this machine, by what its command line names. */
import { globSync, readFileSync } from 'node:fs';

/** Processes whose command line names the directory. */
export function processesOf(directory: string): readonly string[] {
  return globSync('/proc/[0-9]*/cmdline').flatMap((path) => {
    try {
      const words = readFileSync(path, 'latin1').replaceAll('\0', ' ');
      return words.includes(directory) ? [words] : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}
