/** `skein service create`: describes a service, and waits until it runs. */
import { readFile } from 'node:fs/promises';
import { splitAtArgument } from '../../cli/arguments.ts';
import { ClientCommand } from '../../cli/client-command.ts';
import { CommandError, ExitCode } from '../../cli/command-error.ts';
import { withCluster } from '../../cli/connection.ts';
import { progressOn } from '../../cli/progress.ts';
import { createFlags, waitFlags } from '../../cli/service/flags.ts';
import { withReferences } from '../../cli/service/references.ts';
import { createdSpec } from '../../cli/service/spec-of-flags.ts';
import { timeoutMsOf, waitForServices } from '../../cli/wait.ts';
import { realEnv } from '../../env.ts';

const SUFFIX_LETTERS = 5;

/** `busybox-k3v9a` for `docker.io/library/busybox:1.36`. */
function nameFor(image: string): string {
  const last = image.split('/').at(-1) ?? image;
  const base = last.split(/[:@]/)[0]?.replaceAll(/[^A-Za-z0-9_-]/g, '') ?? '';
  return `${base === '' ? 'service' : base}-${realEnv.newId().slice(0, SUFFIX_LETTERS)}`;
}

export class ServiceCreateCommand extends ClientCommand {
  static override summary = 'Create a service';
  static override description =
    'Prints its id, then waits until it runs as asked, and fails with the error of a task that cannot.';

  static override usage = 'service create [FLAGS] IMAGE [ARGUMENT...]';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --name web --replicas 3 --publish 8080:80 nginx:1.27',
    '<%= config.bin %> <%= command.id %> --name hello busybox sh -c "while true; do date; sleep 5; done"',
  ];

  static override strict = false;
  static override flags = { ...createFlags, ...waitFlags };

  async run(): Promise<void> {
    const { baseFlags, flags: own } = ServiceCreateCommand;
    const { own: flagWords, words } = splitAtArgument(this.argv, { ...baseFlags, ...own });
    const { flags } = await this.parse(ServiceCreateCommand, flagWords);
    const [image, ...args] = words;
    if (image === undefined) throw new CommandError('name the image', ExitCode.USAGE);
    const spec = createdSpec(flags, {
      name: flags.name ?? nameFor(image),
      image,
      args,
      environmentFiles: await Promise.all((flags['env-file'] ?? []).map(readEnvironment)),
    });
    const timeoutMs = timeoutMsOf(flags.timeout);
    await withCluster(flags.socket, async ({ control }) => {
      const { service } = await control.CreateService({
        spec: await withReferences(control, spec),
      });
      const id = service?.id ?? '';
      this.print(id);
      if (flags.detach) return;
      const progress = progressOn(this.terminal, flags.quiet);
      await waitForServices(control, [{ id, name: spec.annotations.name }], {
        timeoutMs,
        progress,
      });
    });
  }
}

async function readEnvironment(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`--env-file ${path}: ${why}`);
  }
}
