/** `skein cluster backup`: the whole state of the cluster in a file, from a manager that goes on working. */
import { existsSync } from 'node:fs';
import { Args, Flags } from '@oclif/core';
import { millisOf } from '../../../shared/model/time.ts';
import type { BackupHeader, BackupPart } from '../../../shared/wire/gen/operations.ts';
import { writeBackup } from '../../backup/backup-file.ts';
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { CommandError } from '../../cli/command-error.ts';
import { withCluster } from '../../cli/connection.ts';
import { passphraseFlag, passphraseOf } from '../../cli/passphrase.ts';
import { bytesText } from '../../cli/syntax/quantities.ts';

export class ClusterBackupCommand extends ClientCommand {
  static override summary = 'Write the whole state of the cluster to a file';
  static override description =
    'Any manager can be asked, and all goes on meanwhile. The file holds the key of the cluster root and ' +
    'every secret: whoever has it has the cluster. With --passphrase-file it is sealed.';

  static override examples = [
    '<%= config.bin %> <%= command.id %> cluster.backup --passphrase-file /root/passphrase',
  ];
  static override args = {
    file: Args.string({ description: 'the file to write', required: true, ignoreStdin: true }),
  };
  static override flags = {
    ...inspectFlags,
    ...passphraseFlag,
    force: Flags.boolean({ description: 'replace the file if it is there' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterBackupCommand);
    const passphrase = await passphraseOf(flags['passphrase-file']);
    if (!flags.force && existsSync(args.file)) throw existsAlready(args.file);
    await withCluster(flags.socket, async ({ operations }) => {
      const { header, pieces } = await opened(operations.Backup({}));
      const options = { passphrase, overwrite: flags.force };
      const bytes = await writeBackup(args.file, { header, pieces }, options).catch(
        (error: unknown) => {
          throw explained(args.file, error);
        },
      );
      this.#tell(flags, { file: args.file, bytes, sealed: passphrase !== undefined }, header);
    });
  }

  #tell(
    { format }: { readonly format: string },
    written: { readonly file: string; readonly bytes: number; readonly sealed: boolean },
    { clusterId, index, term, time, led }: BackupHeader,
  ): void {
    if (format === 'json') {
      const iso = new Date(millisOf(time)).toISOString();
      this.print(JSON.stringify({ ...written, clusterId, index, term, time: iso, led }));
      return;
    }
    const { file, bytes, sealed } = written;
    this.print(`Wrote ${file}: cluster ${clusterId} at index ${index}, ${bytesText(bytes)}.`);
    if (!led) {
      this.terminal.err(
        'Warning: this manager knows no leader now, so what it has may be older than the cluster.\n',
      );
    }
    if (sealed) return;
    this.terminal.err(
      `Warning: ${file} is not sealed. It holds the key of the cluster root and every secret: keep it ` +
        'where nobody else reads it, or seal it with --passphrase-file.\n',
    );
  }
}

/** The header, which comes first, and the pieces behind it. */
async function opened(
  parts: AsyncIterable<BackupPart>,
): Promise<{ header: BackupHeader; pieces: AsyncIterable<Uint8Array> }> {
  const iterator = parts[Symbol.asyncIterator]();
  const first = await iterator.next();
  const part = first.done === true ? undefined : first.value.part;
  if (part?.case !== 'header') throw new CommandError('the manager sent no backup');
  return { header: part.value, pieces: piecesOf(iterator) };
}

async function* piecesOf(parts: AsyncIterator<BackupPart>): AsyncGenerator<Uint8Array, void> {
  for (let next = await parts.next(); next.done !== true; next = await parts.next()) {
    const { part } = next.value;
    if (part?.case === 'piece') yield part.value;
  }
}

function explained(file: string, error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error)) return error;
  return error.code === 'EEXIST' ? existsAlready(file) : error;
}

const existsAlready = (file: string): CommandError =>
  new CommandError(`${file} exists already: name another file, or replace it with --force`);
