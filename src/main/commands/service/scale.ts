/** `skein service scale`: how many tasks services have. */
import { ClientCommand } from '../../cli/client-command.ts';
import { CommandError, ExitCode } from '../../cli/command-error.ts';
import { withCluster } from '../../cli/connection.ts';
import { findService } from '../../cli/lookup.ts';
import { progressOn } from '../../cli/progress.ts';
import { waitFlags } from '../../cli/service/flags.ts';
import { withReplicas } from '../../cli/service/settings.ts';
import { SyntaxProblem } from '../../cli/syntax/problem.ts';
import { timeoutMsOf, type Waited, waitForServices } from '../../cli/wait.ts';

type Wish = { readonly reference: string; readonly replicas: string };

function wishOf(text: string): Wish {
  const match = /^([^=]+)=(\d+)$/.exec(text);
  if (match === null) {
    throw new CommandError(`"${text}" is not SERVICE=REPLICAS; write e.g. web=5`, ExitCode.USAGE);
  }
  return { reference: match[1] ?? '', replicas: match[2] ?? '' };
}

export class ServiceScaleCommand extends ClientCommand {
  static override summary = 'Set the number of tasks of services';
  static override usage = 'service scale [FLAGS] SERVICE=REPLICAS...';
  static override examples = ['<%= config.bin %> <%= command.id %> web=5 db=1'];
  static override strict = false;
  static override flags = waitFlags;

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(ServiceScaleCommand);
    const wishes = argv.map((word) => wishOf(String(word)));
    if (wishes.length === 0) {
      throw new CommandError(
        'name at least one service, e.g. skein service scale web=5',
        ExitCode.USAGE,
      );
    }
    const timeoutMs = timeoutMsOf(flags.timeout);
    await withCluster(flags.socket, async ({ control }) => {
      const waited: Waited[] = [];
      for (const { reference, replicas } of wishes) {
        const { id, spec, meta } = await findService(control, reference);
        const { name } = spec.annotations;
        await control.UpdateService({
          serviceId: id,
          serviceVersion: meta.version,
          spec: scaled(spec, replicas, name),
        });
        this.print(`${name} scaled to ${replicas}`);
        waited.push({ id, name });
      }
      if (flags.detach) return;
      const progress = progressOn(this.terminal, flags.quiet);
      await waitForServices(control, waited, { timeoutMs, progress });
    });
  }
}

function scaled(...[spec, replicas, name]: [...Parameters<typeof withReplicas>, string]) {
  try {
    return withReplicas(spec, replicas);
  } catch (error) {
    if (error instanceof SyntaxProblem) throw new CommandError(`${name}: ${error.message}`);
    throw error;
  }
}
