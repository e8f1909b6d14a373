/** Nodes and profiles for tests: plain ones, of which a test names only what matters to it. */
import type { NodeFacts, Profile } from '../../../../shared/lanes/placement.ts';
import type { ConstraintSubject } from '../../../../shared/model/constraints.ts';

type SubjectInit = Partial<Omit<ConstraintSubject, 'labels' | 'engineLabels'>> & {
  readonly labels?: Record<string, string>;
  readonly engineLabels?: Record<string, string>;
};

/** A ready Linux node with 4 processors and 8 GiB. */
export function nodeFacts(
  init: Partial<Omit<NodeFacts, 'subject'>> = {},
  { labels, engineLabels, ...subject }: SubjectInit = {},
): NodeFacts {
  return {
    subject: {
      id: 'id',
      hostname: 'host',
      address: '10.0.0.1',
      role: 'worker',
      os: 'linux',
      architecture: 'x86_64',
      labels: new Map(Object.entries(labels ?? {})),
      engineLabels: new Map(Object.entries(engineLabels ?? {})),
      ...subject,
    },
    available: true,
    hasPlatform: true,
    nanoCpus: 4e9,
    memoryBytes: 8 * 2 ** 30,
    generic: [],
    plugins: [],
    ...init,
  };
}

/** A profile that asks for nothing. */
export function profile(init: Partial<Profile> = {}): Profile {
  return {
    constraints: [],
    platforms: [],
    nanoCpus: 0,
    memoryBytes: 0,
    generic: [],
    spread: [],
    replicasMax: 0,
    hostPorts: [],
    plugins: [],
    runtime: '',
    ...init,
  };
}
