/** What a lane refuses or finds broken, as one error with a code. */

/**
 * - `MESSAGE_TOO_LONG`: the encoded message exceeds what a lane carries; nothing of it was sent.
 * - `NOT_ENCODABLE`: the message holds something msgpack cannot carry; nothing of it was sent.
 * - `OVERRUN`: the producer went on far beyond `full`; the message was not taken.
 * - `FRAME_TOO_LONG`, `NOT_DECODABLE`: the peer sent garbage; the lane is to be dropped.
 */
export type LaneErrorCode =
  | 'MESSAGE_TOO_LONG'
  | 'NOT_ENCODABLE'
  | 'OVERRUN'
  | 'FRAME_TOO_LONG'
  | 'NOT_DECODABLE';

/** An error of a lane; `code` says which. */
export class LaneError extends Error {
  override readonly name = 'LaneError';
  readonly code: LaneErrorCode;

  constructor(code: LaneErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
