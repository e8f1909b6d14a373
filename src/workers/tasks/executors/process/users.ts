/** Users as a spec names them: `name`, `uid`, `name:group`, `uid:gid`. */
import { readFileSync } from 'node:fs';
import { FatalError } from '../errors.ts';

export type ProcessUser = { readonly uid: number; readonly gid: number; readonly home: string };

/** @returns undefined for no user: the worker's own. @throws FatalError for one that is not there */
export function resolveUser(text: string): ProcessUser | undefined {
  if (text === '') return undefined;
  const [userText = '', groupText] = text.split(':');
  const user = lookUp('/etc/passwd', userText);
  if (user === undefined && !isId(userText)) {
    throw new FatalError(`unable to find user ${userText}: no matching entries in passwd file`);
  }
  const uid = Number(user?.[2] ?? userText);
  const home = user?.[5] ?? '/';
  if (groupText === undefined) return { uid, gid: Number(user?.[3] ?? 0), home };
  const group = lookUp('/etc/group', groupText);
  if (group === undefined && !isId(groupText)) {
    throw new FatalError(`unable to find group ${groupText}: no matching entries in group file`);
  }
  return { uid, gid: Number(group?.[2] ?? groupText), home };
}

function isId(text: string): boolean {
  return /^\d+$/.test(text);
}

/** The entry with this name or id. */
function lookUp(file: string, nameOrId: string): string[] | undefined {
  return readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find((fields) => fields[0] === nameOrId || (isId(nameOrId) && fields[2] === nameOrId));
}
