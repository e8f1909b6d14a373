/** What services, networks, secrets and configs may be called (behaviour rule 9.1). */
import { invalid, type Path, type Problems } from './problem.ts';

const LABEL_LENGTH_MAX = 63;
/** Letters, digits, `-` and `_`, with a letter or digit at both ends. */
const LABEL = /^[a-zA-Z0-9](?:[-_a-zA-Z0-9]*[a-zA-Z0-9])?$/;

const KEY_LENGTH_MAX = 64;
const KEY = /^[a-zA-Z0-9](?:[-_.a-zA-Z0-9]*[a-zA-Z0-9])?$/;

/** A name that becomes part of a host name: of a service or a network. */
export function* labelNameProblems(path: Path, name: string): Problems {
  if (name === '') yield invalid(path, 'meta: name must be provided');
  else if (!LABEL.test(name)) yield invalid(path, 'name must be valid as a DNS name component');
  else if (name.length > LABEL_LENGTH_MAX) {
    yield invalid(path, 'name must be 63 characters or fewer');
  }
}

/** A name that becomes a file: of a secret or a config. */
export function* keyNameProblems(path: Path, name: string): Problems {
  if (name === '') yield invalid(path, 'name must be provided');
  else if (name.length > KEY_LENGTH_MAX || !KEY.test(name)) {
    yield invalid(
      path,
      'invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]',
    );
  }
}
