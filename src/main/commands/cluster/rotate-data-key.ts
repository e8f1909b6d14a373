/** `skein cluster rotate-data-key`: a new key for the log of one manager. */
import { ClientCommand } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';

export class ClusterRotateDataKeyCommand extends ClientCommand {
  static override summary = "Replace the key that seals this manager's log";
  static override description =
    'Seals the whole log of the manager at the socket with a new key while it goes on working, and ' +
    'returns when the old key opens nothing any more. Each manager has a key of its own: run this on each.';

  async run(): Promise<void> {
    const { flags } = await this.parse(ClusterRotateDataKeyCommand);
    await withCluster(flags.socket, async ({ operations }) => {
      await operations.RotateDataKey({});
      this.print(
        "The key of this manager's log was replaced; other managers have keys of their own.",
      );
    });
  }
}
