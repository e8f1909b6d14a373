/** Sealing the pieces of a backup with a passphrase: AES-256-GCM, its key derived by scrypt. */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { BackupSeal } from '../../shared/wire/gen/operations.ts';
import { BackupError } from './records.ts';

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** About 128 MiB and half a second for each guess. */
const COST = { cost: 1 << 17, blockSize: 8, parallelization: 1 } as const;
/** What a file may ask of its reader. */
const COST_MAX = { cost: 1 << 20, blockSize: 16, parallelization: 8 } as const;
/** scrypt needs 128 times cost times block size. */
const MEMORY_BYTES_MAX = 256 * COST_MAX.cost * COST_MAX.blockSize;

export const newSeal = (): BackupSeal =>
  BackupSeal.create({ salt: randomBytes(SALT_BYTES), ...COST });

function derive(passphrase: Uint8Array, seal: BackupSeal): Buffer {
  const { salt, cost, blockSize, parallelization } = seal;
  const bearable =
    cost <= COST_MAX.cost &&
    blockSize <= COST_MAX.blockSize &&
    parallelization <= COST_MAX.parallelization;
  if (!bearable) throw new BackupError('asks for more memory than this version gives it');
  try {
    const maxmem = MEMORY_BYTES_MAX;
    return scryptSync(passphrase, salt, KEY_BYTES, { cost, blockSize, parallelization, maxmem });
  } catch (error) {
    throw new BackupError('is sealed in a way that this version does not know', { cause: error });
  }
}

export class Sealer {
  readonly #key: Buffer;

  /** @throws BackupError when the seal is none of ours */
  constructor(passphrase: Uint8Array, seal: BackupSeal) {
    this.#key = derive(passphrase, seal);
  }

  /** `before` is the checksum of all that stands before: a piece opens nowhere else. */
  seal(plain: Uint8Array, before: Uint8Array): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce).setAAD(before);
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws BackupError when another passphrase sealed it */
  open(sealed: Uint8Array, before: Uint8Array): Buffer {
    const end = sealed.length - TAG_BYTES;
    try {
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv(ALGORITHM, this.#key, nonce).setAAD(before);
      decipher.setAuthTag(sealed.subarray(end));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()]);
    } catch (error) {
      throw new BackupError('was sealed with another passphrase', { cause: error });
    }
  }
}
