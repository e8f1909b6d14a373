/**
 * Seals what goes to the disk: AES-256-GCM with the manager's data key, a fresh random nonce for each
 * record, and the record's place as additional data, so that records can't be swapped.
 *
 * Before each record stands the mark of its key, so that while keys change it is known at once which
 * one opens it. A mark tells nothing about its key.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  randomBytes,
  type CipherGCM,
  type KeyObject,
} from 'node:crypto';

export const DATA_KEY_BYTES = 32;
const MARK_BYTES = 4;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = MARK_BYTES + NONCE_BYTES;
const ALGORITHM = 'aes-256-gcm';

/** A record could not be read: another key, or damage. */
export class SealError extends Error {
  override readonly name = 'SealError';
}

const markOf = (key: Uint8Array): number =>
  createHash('sha256').update('skein data key').update(key).digest().readUInt32LE(0);

/** A fresh data key, whose mark is not that of `old`. */
export function newDataKey(old?: Uint8Array): Uint8Array {
  for (;;) {
    const key = randomBytes(DATA_KEY_BYTES);
    if (old === undefined || markOf(key) !== markOf(old)) return key;
  }
}

/** What one record is sealed with: the head that will stand before it, with a nonce of its own. */
type Seal = { readonly head: Buffer; readonly cipher: CipherGCM };

/** Of records that are sealed at once while others are waited for: an entry and the hard state. */
const PREPARED = 2;
/** Random bytes are fetched for so many nonces at a time. */
const NONCES = 256;

export class Cipher {
  readonly #keys = new Map<number, KeyObject>();
  /** Made by the key that seals now. */
  #prepared: Seal[] = [];
  #nonces = Buffer.alloc(0);
  /** Seals; all others only open. */
  #key: KeyObject;
  #mark = 0;

  constructor(key: Uint8Array) {
    this.#key = this.use(key);
  }

  /** Seals with `key` from now on; what earlier keys sealed still opens. */
  use(key: Uint8Array): KeyObject {
    if (key.length !== DATA_KEY_BYTES)
      throw new RangeError(`a data key has ${DATA_KEY_BYTES} bytes`);
    this.#mark = markOf(key);
    this.#key = createSecretKey(key);
    this.#keys.set(this.#mark, this.#key);
    this.#prepared = [];
    return this.#key;
  }

  /** Makes ready what the next records are sealed with: to be called when there is time, never needed. */
  prepare(): void {
    while (this.#prepared.length < PREPARED) this.#prepared.push(this.#begin());
  }

  /** From now on only what the newest key sealed opens. */
  forgetOthers(): void {
    this.#keys.clear();
    this.#keys.set(this.#mark, this.#key);
  }

  /** Whether the key that seals now sealed this record. */
  isCurrent(sealed: Uint8Array): boolean {
    return sealed.length >= MARK_BYTES && view(sealed).readUInt32LE(0) === this.#mark;
  }

  /** Mark, nonce, sealed bytes, tag. `place` names the record, e.g. `entry/7`. */
  seal(place: string, plain: Uint8Array): Buffer {
    const { head, cipher } = this.#prepared.pop() ?? this.#begin();
    cipher.setAAD(Buffer.from(place));
    const body = cipher.update(plain);
    cipher.final(); // a stream cipher keeps nothing back
    return Buffer.concat([head, body, cipher.getAuthTag()]);
  }

  #begin(): Seal {
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32LE(this.#mark, 0);
    head.set(this.#nextNonce(), MARK_BYTES);
    return { head, cipher: createCipheriv(ALGORITHM, this.#key, head.subarray(MARK_BYTES)) };
  }

  #nextNonce(): Buffer {
    if (this.#nonces.length === 0) this.#nonces = randomBytes(NONCES * NONCE_BYTES);
    const nonce = this.#nonces.subarray(0, NONCE_BYTES);
    this.#nonces = this.#nonces.subarray(NONCE_BYTES);
    return nonce;
  }

  /** @throws SealError */
  open(place: string, sealed: Uint8Array): Buffer {
    const body = sealed.length - TAG_BYTES;
    if (body < HEAD_BYTES) throw new SealError(`${place} is cut short`);
    const key = this.#keys.get(view(sealed).readUInt32LE(0));
    if (key === undefined) throw unreadable(place);
    try {
      const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(MARK_BYTES, HEAD_BYTES));
      decipher.setAAD(Buffer.from(place)).setAuthTag(sealed.subarray(body));
      return Buffer.concat([decipher.update(sealed.subarray(HEAD_BYTES, body)), decipher.final()]);
    } catch (error) {
      throw unreadable(place, error);
    }
  }
}

const view = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

const unreadable = (place: string, cause?: unknown): SealError =>
  new SealError(`${place} can't be read: wrong data key, or damaged`, { cause });
