/** The passphrase of a backup, which a file holds: on a command line everybody could read it. */
import { readFile } from 'node:fs/promises';
import { Flags } from '@oclif/core';
import { CommandError } from './command-error.ts';

export const passphraseFlag = {
  'passphrase-file': Flags.string({
    description: 'file whose content, without its last line break, is the passphrase',
  }),
};

/** @throws CommandError that names the flag when the file cannot be read or is empty */
export async function passphraseOf(path: string | undefined): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined;
  const content = await readFile(path).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`--passphrase-file ${path}: ${why}`);
  });
  const end = content.at(-1) === 0x0a ? (content.at(-2) === 0x0d ? -2 : -1) : content.length;
  const passphrase = content.subarray(0, end);
  if (passphrase.length > 0) return passphrase;
  throw new CommandError(`--passphrase-file ${path}: it is empty, and a passphrase is not`);
}
