/** Commands that remove what they are given: each by itself, so that one failure spares the others. */
import { ClientCommand } from './client-command.ts';
import { CommandError, ExitCode } from './command-error.ts';
import { type Control, withCluster } from './connection.ts';

export abstract class RemovalCommand extends ClientCommand {
  static override strict = false;

  /** What is removed, in one word. */
  protected abstract readonly kind: string;

  protected abstract remove(control: Control, reference: string, isForced: boolean): Promise<void>;

  async run(): Promise<void> {
    // Named one by one: what a class inherits is no property of its own.
    const { flags: own, baseFlags, args } = this.ctor;
    const { argv, flags } = await this.parse({ flags: own, baseFlags, args, strict: false });
    if (argv.length === 0) throw new CommandError(`name at least one ${this.kind}`, ExitCode.USAGE);
    const failures: string[] = [];
    await withCluster(String(flags['socket']), async ({ control }) => {
      for (const reference of argv.map(String)) {
        try {
          await this.remove(control, reference, flags['force'] === true);
          this.print(reference);
        } catch (error) {
          if (!(error instanceof Error)) throw error;
          failures.push(error.message);
        }
      }
    });
    if (failures.length > 0) throw new CommandError(failures.join('\nError: '));
  }
}
