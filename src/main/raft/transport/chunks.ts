/**
 * Cutting a snapshot that is too large for one gRPC message, and putting it together again
 * (behaviour rule 3.6): each piece is the whole message with a slice of the snapshot's data.
 */
import { StreamRaftMessageRequest } from '../../../shared/wire/gen/raft.ts';
import { type Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { Code, RpcError } from '../../rpc/errors.ts';
import { announcedBytes } from '../../store/entry-codec.ts';
import type { SnapshotSource } from '../snapshot-source.ts';

/** Far less than a receiver takes in one message: each piece is made, and taken, in one turn. */
const CHUNK_BYTES_MAX = 256 * 1024;
/** Room for the lengths that stand before nested messages. */
const LENGTHS_BYTES = 64;
/** What a snapshot may say of its size; more is allocated when it comes. */
const ANNOUNCED_BYTES_MAX = 4 * 1024 ** 3;

/** The messages to send for one with a snapshot, in order, made as they are asked for. */
export function* split(
  message: Message,
  { metadata, pieces }: Omit<SnapshotSource, typeof Symbol.dispose>,
  bytesMax = CHUNK_BYTES_MAX,
): Generator<Message, void> {
  const empty = { ...message, snapshot: { metadata, data: undefined } };
  const overhead = StreamRaftMessageRequest.encode({ message: empty }).length + LENGTHS_BYTES;
  let sent = 0;
  for (const data of slices(pieces, bytesMax - overhead)) {
    yield { ...message, snapshot: { metadata, data } };
    sent += 1;
  }
  if (sent === 0) yield { ...message, snapshot: { metadata, data: new Uint8Array() } };
}

/** The same bytes in slices of `bytes` each, the last one perhaps shorter. */
function* slices(pieces: Iterable<Uint8Array>, bytes: number): Generator<Uint8Array, void> {
  let gathered: Uint8Array[] = [];
  let room = bytes;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + room);
      gathered.push(part);
      at += part.length;
      room -= part.length;
      if (room > 0) continue;
      yield Buffer.concat(gathered);
      gathered = [];
      room = bytes;
    }
  }
  if (gathered.length > 0) yield Buffer.concat(gathered);
}

/**
 * The message that the pieces are of; undefined when there was none.
 * @throws RpcError InvalidArgument when the pieces do not belong together
 */
export async function join(
  pieces: AsyncIterable<StreamRaftMessageRequest>,
): Promise<Message | undefined> {
  let first: Message | undefined;
  let whole: Growing | undefined;
  for await (const { message } of pieces) {
    if (message === undefined) continue;
    const slice = message.snapshot?.data ?? new Uint8Array();
    if (first === undefined) {
      first = message;
      continue;
    }
    checkFits(first, message);
    whole ??= new Growing(first.snapshot?.data ?? new Uint8Array());
    whole.add(slice);
  }
  if (first?.snapshot === undefined || whole === undefined) return first;
  return { ...first, snapshot: { ...first.snapshot, data: whole.bytes } };
}

/** Bytes that come slice by slice, each copied to its place at once: their size is known from the start. */
class Growing {
  #buffer: Buffer;
  #length = 0;

  constructor(first: Uint8Array) {
    const announced = Math.min(announcedBytes(first) ?? 0, ANNOUNCED_BYTES_MAX);
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(announced, first.length));
    this.add(first);
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  add(slice: Uint8Array): void {
    const length = this.#length + slice.length;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#buffer.length));
      larger.set(this.bytes);
      this.#buffer = larger;
    }
    this.#buffer.set(slice, this.#length);
    this.#length = length;
  }
}

function checkFits(first: Message, next: Message): void {
  if (next.index !== first.index) {
    throw new RpcError(
      Code.INVALID_ARGUMENT,
      `Raft message chunk with index ${next.index} is different from the previously received raft message index ${first.index}`,
    );
  }
  if (first.type !== MessageType.MsgSnap || next.type !== MessageType.MsgSnap) {
    throw new RpcError(Code.INVALID_ARGUMENT, 'Raft message chunk is not of type 7');
  }
}
