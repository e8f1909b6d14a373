/** Which networks a process can be in: the host's, and no other. */
import type { NetworkAttachment } from '../../../../shared/wire/gen/objects.ts';

/** `host` it has, `ingress` is left to the nodes that route it, `own` it cannot have. */
export function networkKind({ network }: NetworkAttachment): 'host' | 'ingress' | 'own' {
  if (network?.spec.ingress === true) return 'ingress';
  return network?.spec.annotations.name === 'host' ? 'host' : 'own';
}
