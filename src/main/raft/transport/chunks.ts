/**
 * Cutting a snapshot that is too large for one gRPC message, and putting it together again
 * (behaviour rule 3.6): each piece is the whole message with a slice of the snapshot's data.
 */
import { StreamRaftMessageRequest } from '../../../shared/wire/gen/raft.ts';
import { type Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { Code, RpcError } from '../../rpc/errors.ts';

/** What a receiver takes in one message. */
export const CHUNK_BYTES_MAX = 4 * 1024 * 1024;
/** Room for the lengths that stand before nested messages. */
const LENGTHS_BYTES = 64;

/** The pieces to send, in order; one for everything but a large snapshot. */
export function* split(message: Message, bytesMax = CHUNK_BYTES_MAX): Generator<Message, void> {
  const { snapshot } = message;
  const data = snapshot?.data;
  if (message.type !== MessageType.MsgSnap || snapshot === undefined || data === undefined) {
    yield message;
    return;
  }
  const empty = { ...message, snapshot: { ...snapshot, data: undefined } };
  const overhead = StreamRaftMessageRequest.encode({ message: empty }).length + LENGTHS_BYTES;
  const step = bytesMax - overhead;
  if (data.length <= step) {
    yield message;
    return;
  }
  for (let at = 0; at < data.length; at += step) {
    yield { ...message, snapshot: { ...snapshot, data: data.subarray(at, at + step) } };
  }
}

/**
 * The message that the pieces are of; undefined when there was none.
 * @throws RpcError InvalidArgument when the pieces do not belong together
 */
export async function join(
  pieces: AsyncIterable<StreamRaftMessageRequest>,
): Promise<Message | undefined> {
  let whole: Message | undefined;
  const slices: Uint8Array[] = [];
  for await (const { message } of pieces) {
    if (message === undefined) continue;
    if (whole === undefined) whole = message;
    else checkFits(whole, message);
    slices.push(message.snapshot?.data ?? new Uint8Array());
  }
  if (whole?.snapshot === undefined || slices.length === 1) return whole;
  return { ...whole, snapshot: { ...whole.snapshot, data: Buffer.concat(slices) } };
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
