/** `skein down`: stops what `skein up --detach` left running. */
import { existsSync, readFileSync } from 'node:fs';
import { Command, Flags } from '@oclif/core';
import { CommandError } from '../cli/command-error.ts';
import { processTerminal, type Terminal } from '../cli/terminal.ts';
import { stopAll } from '../cli/up/processes.ts';
import {
  isAlive,
  readRecord,
  removeState,
  stateDirFor,
  withLock,
  writeRecord,
} from '../cli/up/state.ts';
import { clusterName } from '../config/cluster-file.ts';
import { fileArgument, stateDirFlag } from './up.ts';

export class DownCommand extends Command {
  static override summary = 'Stop the cluster that "skein up" started';
  static override description =
    'Tasks end first, then workers, then the manager. What the cluster knows stays for the next ' +
    '"skein up", unless --purge.';

  static override args = fileArgument;
  static override flags = {
    purge: Flags.boolean({
      description: 'forget the cluster too: its log, identities and secrets',
    }),
    'state-dir': stateDirFlag,
  };

  terminal: Terminal = processTerminal();

  async run(): Promise<void> {
    const { args, flags } = await this.parse(DownCommand);
    const stateDir = flags['state-dir'] ?? (await stateDirFor(args.file, nameOf(args.file)));
    const record = await readRecord(stateDir);
    if (record === undefined) {
      throw new CommandError(`no cluster was started from ${args.file}: ${stateDir} holds none`);
    }
    const hurry = new AbortController();
    const onSignal = (): void => hurry.abort();
    process.on('SIGINT', onSignal);
    try {
      const { manager, workers, ...rest } = record;
      const alive = [...(manager === undefined ? [] : [manager]), ...workers].filter(isAlive);
      this.terminal.err(
        alive.length === 0
          ? 'nothing is running\n'
          : 'stopping: tasks first, then workers, then the manager\n',
      );
      await withLock(stateDir, async () => {
        await stopAll({ manager, workers }, hurry.signal);
        if (!flags.purge) await writeRecord(stateDir, { ...rest, workers: [] });
      });
      if (flags.purge) await removeState(stateDir, record.socket);
      this.terminal.err(flags.purge ? `stopped, and ${stateDir} removed\n` : 'stopped\n');
    } finally {
      process.off('SIGINT', onSignal);
    }
  }
}

/** The cluster's name, even of a file that is no longer right. */
function nameOf(file: string): string {
  if (!existsSync(file)) {
    throw new CommandError(`cannot find the cluster file ${file}; name it, or give --state-dir`);
  }
  return clusterName(readFileSync(file, 'utf8'), file);
}
