// One message is one block of bytes: the header's length (uint32, little-endian), the header (JSON, padded with spaces
// to four bytes), then the arrays, each padded to four bytes. { $array: [kind, offset, length] } in the header stands
// for an array.
const KINDS = { f4: Float32Array, u2: Uint16Array, u1: Uint8Array };

export function decode(bytes) {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const size = new DataView(buffer).getUint32(0, true);
  const header = new TextDecoder().decode(new Uint8Array(buffer, 4, size));
  return JSON.parse(header, (_, value) => {
    if (!value?.$array) return value;
    const [kind, offset, length] = value.$array;
    return new KINDS[kind](buffer, 4 + size + offset, length);
  });
}
