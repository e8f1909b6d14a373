/** Whether a state directory holds a node's identity. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';

export async function hasIdentity(stateDir: string): Promise<boolean> {
  try {
    await access(join(stateDir, 'certificates', 'swarm-node.crt'));
    return true;
  } catch {
    return false;
  }
}
