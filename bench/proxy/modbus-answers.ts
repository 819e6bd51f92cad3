// What the servers of the bench answer: registers are 0 but the first, which has the number of the request.

/** A read is answered with as many bytes as it asks for, a write with its first four bytes, as a server confirms it. */
export function answerTo(request: Buffer, number: number): Buffer {
  const functionCode = request.readUInt8(7);
  const reads = functionCode <= 4 || functionCode === 23;
  const quantity = reads && request.length >= 12 ? request.readUInt16BE(10) : 0;
  const bytes = functionCode <= 2 ? Math.ceil(quantity / 8) : 2 * quantity;
  const answer = Buffer.alloc(reads ? 9 + bytes : 12);
  request.copy(answer, 0, 0, 8);
  answer.writeUInt16BE(answer.length - 6, 4);
  if (!reads) request.copy(answer, 8, 8, 12);
  else {
    answer.writeUInt8(bytes & 0xff, 8);
    if (bytes >= 2) answer.writeUInt16BE(number, 9);
  }
  return answer;
}
