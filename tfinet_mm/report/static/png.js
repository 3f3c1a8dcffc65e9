'use strict';
// Indices of palette PNG files. A canvas would give colours back, and browsers that protect
// privacy change these a little, so the file is decoded here.
const Maps = (() => {
  function bytesOf(uri) {
    const text = atob(uri.slice(uri.indexOf(',') + 1));
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function paeth(a, b, c) {
    const p = a + b - c;
    const pa = Math.abs(p - a);
    const pb = Math.abs(p - b);
    const pc = Math.abs(p - c);
    if (pa <= pb && pa <= pc) return a;
    return pb <= pc ? b : c;
  }

  function unfilter(raw, width, height) {
    const values = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) {
      const kind = raw[y * (width + 1)];
      const from = y * (width + 1) + 1;
      const to = y * width;
      // Palette files are hardly ever filtered.
      if (kind === 0) {
        values.set(raw.subarray(from, from + width), to);
        continue;
      }
      for (let x = 0; x < width; x++) {
        const left = x ? values[to + x - 1] : 0;
        const up = y ? values[to + x - width] : 0;
        const corner = x && y ? values[to + x - width - 1] : 0;
        let add = kind === 1 ? left : up;
        if (kind === 3) add = (left + up) >> 1;
        else if (kind === 4) add = paeth(left, up, corner);
        values[to + x] = raw[from + x] + add;
      }
    }
    return values;
  }

  // One value 0..255 a pixel, row by row, of an 8-bit palette or grey PNG.
  async function decode(uri) {
    const bytes = bytesOf(uri);
    const view = new DataView(bytes.buffer);
    const width = view.getUint32(16);
    const height = view.getUint32(20);
    const parts = [];
    for (let at = 8; at < bytes.length; ) {
      const length = view.getUint32(at);
      const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      if (name === 'IDAT') parts.push(bytes.subarray(at + 8, at + 8 + length));
      at += length + 12;
    }
    const raw = await inflate(await new Blob(parts).arrayBuffer());
    return { width, height, values: unfilter(raw, width, height) };
  }

  async function picture(uri) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    return image;
  }

  return { decode, picture };
})();
