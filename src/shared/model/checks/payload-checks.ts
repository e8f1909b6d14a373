/** Checks of secrets and configs: names and sizes (behaviour rule 9.3). */
import type { ConfigSpec, SecretSpec } from '../../wire/gen/specs.ts';
import { keyNameProblems } from './name-checks.ts';
import { invalid, type Problems } from './problem.ts';

/** First sizes that are too large, in bytes. */
const PAYLOAD_LIMITS = { secretBytes: 512_000, configBytes: 1_024_000 } as const;

/** What is wrong with a secret. One with a driver has its data elsewhere. */
export function* secretProblems(spec: SecretSpec): Problems {
  yield* keyNameProblems(['annotations', 'name'], spec.annotations.name);
  if (spec.driver !== undefined) {
    if (spec.driver.name === '') {
      yield invalid(['driver', 'name'], 'secret driver must have a name');
    }
    return;
  }
  if (!fits(spec.data, PAYLOAD_LIMITS.secretBytes)) {
    yield invalid(['data'], 'secret data must be larger than 0 and less than 512000 bytes');
  }
}

/** What is wrong with a config. */
export function* configProblems(spec: ConfigSpec): Problems {
  yield* keyNameProblems(['annotations', 'name'], spec.annotations.name);
  if (!fits(spec.data, PAYLOAD_LIMITS.configBytes)) {
    yield invalid(['data'], 'config data must be larger than 0 and less than 1024000 bytes');
  }
}

const fits = (data: Uint8Array, limit: number): boolean => data.length > 0 && data.length < limit;
