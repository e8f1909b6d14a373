/**
 * Seals what goes to the disk: AES-256-GCM with the manager's data key, a fresh random nonce for each
 * record, and the record's place as additional data, so that records can't be swapped.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

export const DATA_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = 'aes-256-gcm';

/** A record could not be read: another key, or damage. */
export class SealError extends Error {
  override readonly name = 'SealError';
}

export class Cipher {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    if (key.length !== DATA_KEY_BYTES)
      throw new RangeError(`a data key has ${DATA_KEY_BYTES} bytes`);
    this.#key = key;
  }

  /** Nonce, sealed bytes, tag. `place` names the record, e.g. `entry/7`. */
  seal(place: string, plain: Uint8Array): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce).setAAD(Buffer.from(place));
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws SealError */
  open(place: string, sealed: Uint8Array): Buffer {
    const body = sealed.length - TAG_BYTES;
    if (body < NONCE_BYTES) throw new SealError(`${place} is cut short`);
    try {
      const decipher = createDecipheriv(ALGORITHM, this.#key, sealed.subarray(0, NONCE_BYTES));
      decipher.setAAD(Buffer.from(place)).setAuthTag(sealed.subarray(body));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, body)), decipher.final()]);
    } catch (error) {
      throw new SealError(`${place} can't be read: wrong data key, or damaged`, { cause: error });
    }
  }
}
