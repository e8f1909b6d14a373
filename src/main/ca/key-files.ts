/**
 * A node's identity on disk: root, certificate and key (behaviour rules 4.1 and 4.9).
 *
 * Certificate and key change together, so the pair goes to temporary files first and is renamed into
 * place, key before certificate: whatever a crash leaves, the files in place or the temporary
 * certificate fit the key, and `load` picks what fits. The key file also carries headers, in which
 * the raft log keeps its data key.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { formatPem, parsePem } from './core/pem.ts';
import { CertificateError } from './certificates.ts';

/** The key file is encrypted, and no key or the wrong one was given. */
export class LockedError extends Error {
  override readonly name = 'LockedError';

  constructor() {
    super('node is locked, and needs a valid unlock key');
  }
}

/** What stands before the key in its file. */
export type Headers = Readonly<Record<string, string>>;

export type StoredIdentity = {
  readonly certificatePem: string;
  /** Decrypted, without headers. */
  readonly keyPem: string;
  readonly headers: Headers;
};

/** Where a node keeps its identity; a store that locks its key takes the unlock key when made. */
export type KeyStore = {
  readonly loadRoot: () => Promise<string | undefined>;
  readonly saveRoot: (rootPem: string) => Promise<void>;
  /** @throws LockedError, CertificateError */
  readonly load: () => Promise<StoredIdentity | undefined>;
  /** Headers stay as they are unless given, or made of those in place. */
  readonly save: (
    certificatePem: string,
    keyPem: string,
    headers?: Headers | ((kept: Headers) => Headers),
  ) => Promise<void>;
};

const FILES = {
  root: 'swarm-root-ca.crt',
  certificate: 'swarm-node.crt',
  key: 'swarm-node.key',
} as const;
const MODES = { public: 0o644, secret: 0o600, directory: 0o755 } as const;

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeDurably(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'w', mode);
  try {
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function fits(certificatePem: string | undefined, keyPem: string): boolean {
  if (certificatePem === undefined) return false;
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false; // half-written: as good as absent
  }
}

/** The key in `text` as plain PKCS#8, whatever it is wrapped in. */
function unlock(text: string, unlockKey: Uint8Array | undefined): string {
  const [block] = parsePem(text);
  if (block === undefined) throw new CertificateError('the node key file holds no PEM block');
  const locked = block.label === 'ENCRYPTED PRIVATE KEY';
  if (locked && unlockKey === undefined) throw new LockedError();
  try {
    const key = createPrivateKey({
      key: formatPem(block.label, block.der), // OpenSSL refuses headers it does not know
      format: 'pem',
      ...(locked && unlockKey !== undefined ? { passphrase: Buffer.from(unlockKey) } : {}),
    });
    return key.export({ type: 'pkcs8', format: 'pem' });
  } catch (error) {
    if (locked) throw new LockedError();
    throw new CertificateError('the node key cannot be read', { cause: error });
  }
}

function lock(keyPem: string, headers: Headers, unlockKey: Uint8Array | undefined): string {
  const key = createPrivateKey(keyPem);
  const pem =
    unlockKey === undefined
      ? key.export({ type: 'pkcs8', format: 'pem' })
      : key.export({
          type: 'pkcs8',
          format: 'pem',
          cipher: 'aes-256-cbc',
          passphrase: Buffer.from(unlockKey),
        });
  const [block] = parsePem(pem);
  if (block === undefined) throw new CertificateError('the node key cannot be written');
  return formatPem(block.label, block.der, headers);
}

/** The files of `<state directory>/certificates`. What changes them goes one after the other. */
export class KeyFiles implements KeyStore {
  readonly #directory: string;
  readonly #unlockKey: Uint8Array | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(directory: string, unlockKey?: Uint8Array) {
    this.#directory = directory;
    this.#unlockKey = unlockKey;
  }

  readonly loadRoot = (): Promise<string | undefined> => readIfThere(this.#path(FILES.root));

  readonly saveRoot = async (rootPem: string): Promise<void> => {
    await this.#prepare();
    await writeDurably(this.#temporary(FILES.root), rootPem, MODES.public);
    await rename(this.#temporary(FILES.root), this.#path(FILES.root));
    await this.#syncDirectory();
  };

  readonly load = (): Promise<StoredIdentity | undefined> => this.#alone(() => this.#load());

  async #load(): Promise<StoredIdentity | undefined> {
    const keyText = await readIfThere(this.#path(FILES.key));
    if (keyText === undefined) return undefined;
    const keyPem = unlock(keyText, this.#unlockKey);
    const certificatePem = await this.#matchingCertificate(keyPem);
    if (certificatePem === undefined) return undefined;
    return { certificatePem, keyPem, headers: parsePem(keyText)[0]?.headers ?? {} };
  }

  readonly save: KeyStore['save'] = (certificatePem, keyPem, headers) =>
    this.#alone(async () => {
      const wanted = typeof headers === 'object' ? headers : await this.#headers();
      const made = typeof headers === 'function' ? headers(wanted) : wanted;
      await this.#save(certificatePem, keyPem, made);
    });

  /**
   * Changes the headers, all or nothing: `change` gets those in place. Key and certificate stay.
   * @throws LockedError, CertificateError
   */
  readonly updateHeaders = (change: (headers: Headers) => Headers): Promise<void> =>
    this.#alone(async () => {
      const stored = await this.#load();
      if (stored === undefined) throw new CertificateError('the node has no key yet');
      const keyText = lock(stored.keyPem, change(stored.headers), this.#unlockKey);
      await writeDurably(this.#temporary(FILES.key), keyText, MODES.secret);
      await rename(this.#temporary(FILES.key), this.#path(FILES.key));
      await this.#syncDirectory();
    });

  #alone<T>(run: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(run);
    this.#last = mine.catch(() => undefined); // the next one runs whatever befell this one
    return mine;
  }

  async #save(certificatePem: string, keyPem: string, headers: Headers): Promise<void> {
    await this.#prepare();
    const keyText = lock(keyPem, headers, this.#unlockKey);
    await writeDurably(this.#temporary(FILES.certificate), certificatePem, MODES.public);
    await writeDurably(this.#temporary(FILES.key), keyText, MODES.secret);
    await rename(this.#temporary(FILES.key), this.#path(FILES.key));
    await rename(this.#temporary(FILES.certificate), this.#path(FILES.certificate));
    await this.#syncDirectory();
  }

  /** The certificate that fits the key: the one in place, or one that a crash left half renamed. */
  async #matchingCertificate(keyPem: string): Promise<string | undefined> {
    const inPlace = await readIfThere(this.#path(FILES.certificate));
    if (fits(inPlace, keyPem)) return inPlace;
    const left = await readIfThere(this.#temporary(FILES.certificate));
    if (fits(left, keyPem)) {
      await rename(this.#temporary(FILES.certificate), this.#path(FILES.certificate));
      await rm(this.#temporary(FILES.key), { force: true });
      return left;
    }
    if (inPlace === undefined) return undefined;
    throw new CertificateError('certificate key mismatch');
  }

  async #headers(): Promise<Headers> {
    const keyText = await readIfThere(this.#path(FILES.key));
    return parsePem(keyText ?? '')[0]?.headers ?? {};
  }

  async #prepare(): Promise<void> {
    const made = await mkdir(this.#directory, { recursive: true, mode: MODES.directory });
    if (made !== undefined) await chmod(this.#directory, MODES.directory);
  }

  async #syncDirectory(): Promise<void> {
    const directory = await open(this.#directory, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  #path(file: string): string {
    return join(this.#directory, file);
  }

  #temporary(file: string): string {
    return join(this.#directory, `.${file}`);
  }
}
