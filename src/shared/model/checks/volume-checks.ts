/** Checks of a volume spec, and of what an update may change of it (behaviour rule 9.3). */
import { deepEqual } from '../../kit/deep-equal.ts';
import type { VolumeSpec } from '../../wire/gen/specs.ts';
import { invalid, type Problems } from './problem.ts';

/** What is wrong with a new volume, in SwarmKit's order. */
export function* volumeProblems(spec: VolumeSpec): Problems {
  if (spec.driver === undefined) yield invalid(['driver'], 'driver must be specified');
  if (spec.annotations.name === '') {
    yield invalid(['annotations', 'name'], 'meta: name must be provided');
  }
  if (spec.accessMode === undefined) {
    yield invalid(['accessMode'], 'AccessMode must not be nil');
  } else if (spec.accessMode.accessType === undefined) {
    yield invalid(
      ['accessMode'],
      'Volume AccessMode must specify either Mount or Block access type',
    );
  }
}

/** Fields that never change, with the words SwarmKit has for them. */
const FIXED: readonly (readonly [word: string, field: (spec: VolumeSpec) => unknown])[] = [
  ['Name', (spec) => spec.annotations.name],
  ['Group', (spec) => spec.group],
  ['AccessibilityRequirements', (spec) => spec.accessibilityRequirements],
  ['Driver', (spec) => spec.driver],
  ['AccessMode', (spec) => spec.accessMode],
  ['Secrets', (spec) => spec.secrets],
  ['CapacityRange', (spec) => spec.capacityRange],
];

/** What an update would change of a volume and may not. */
export function* volumeChangeProblems(from: VolumeSpec, to: VolumeSpec): Problems {
  for (const [word, field] of FIXED) {
    if (!deepEqual(field(from), field(to))) yield invalid([], `${word} cannot be updated`);
  }
}
