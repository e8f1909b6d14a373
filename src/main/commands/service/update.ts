/** `skein service update`: changes a service, and waits until it runs as it then is. */
import { argument } from '../../cli/arguments.ts';
import { deepEqual } from '../../../shared/kit/deep-equal.ts';
import type { ServiceSpec } from '../../../shared/wire/gen/specs.ts';
import { UpdateServiceRequestRollback } from '../../../shared/wire/gen/control.ts';
import { ClientCommand } from '../../cli/client-command.ts';
import { CommandError } from '../../cli/command-error.ts';
import { withCluster } from '../../cli/connection.ts';
import { findService } from '../../cli/lookup.ts';
import { progressOn } from '../../cli/progress.ts';
import { withContainer, withTask } from '../../cli/service/edit.ts';
import { updateFlags, waitFlags } from '../../cli/service/flags.ts';
import { withReferences } from '../../cli/service/references.ts';
import { updatedSpec } from '../../cli/service/spec-of-flags.ts';
import { shellWords } from '../../cli/syntax/words.ts';
import { timeoutMsOf, waitForServices } from '../../cli/wait.ts';

export class ServiceUpdateCommand extends ClientCommand {
  static override summary = 'Change a service';
  static override description =
    'Prints its id, then waits until its tasks are as asked. What no flag names stays as it is.';

  static override examples = [
    '<%= config.bin %> <%= command.id %> --image nginx:1.28 web',
    '<%= config.bin %> <%= command.id %> --env-add LEVEL=debug --publish-rm 80 web',
    '<%= config.bin %> <%= command.id %> --rollback web',
  ];

  static override args = {
    service: argument('name or id'),
  };
  static override flags = { ...updateFlags, ...waitFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ServiceUpdateCommand);
    const timeoutMs = timeoutMsOf(flags.timeout);
    await withCluster(flags.socket, async ({ control }) => {
      const service = await findService(control, args.service);
      let spec = updatedSpec(service.spec, flags);
      spec = withImageAndArgs(spec, flags);
      if (flags.force) spec = withTask(spec, { forceUpdate: spec.task.forceUpdate + 1 });
      spec = await withReferences(control, spec);
      if (!flags.rollback && deepEqual(spec, service.spec))
        throw new CommandError('no changes detected');
      const { NONE, PREVIOUS } = UpdateServiceRequestRollback;
      const { id } = service;
      await control.UpdateService({
        serviceId: id,
        serviceVersion: service.meta.version,
        spec,
        rollback: flags.rollback ? PREVIOUS : NONE,
      });
      this.print(id);
      if (flags.detach) return;
      const progress = progressOn(this.terminal, flags.quiet);
      await waitForServices(control, [{ id, name: service.spec.annotations.name }], {
        timeoutMs,
        progress,
      });
    });
  }
}

function withImageAndArgs(
  spec: ServiceSpec,
  { image, args }: { readonly image?: string | undefined; readonly args?: string | undefined },
): ServiceSpec {
  const withImage = image === undefined ? spec : withContainer(spec, { image });
  return args === undefined ? withImage : withContainer(withImage, { args: shellWords(args) });
}
