// Proof of work (XEP-0158 §6.2): finds a text that begins with the domain and whose
// SHA-256 hash ends in given bits.
"use strict";

const roots = (count, power) => { // of primes: the first 32 bits behind the point
  const found = [];
  for (let n = 2; found.length < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) { prime = false; break; }
    if (prime) { const r = n ** power; found.push(((r - Math.floor(r)) * 2 ** 32) | 0); }
  }
  return Int32Array.from(found);
};
const start = roots(8, 1 / 2);
const key = roots(64, 1 / 3);
const w = new Int32Array(64);

// last returns the last 32 bits of the hash (FIPS 180-4) of the first octets of b, which
// has room for padding.
const last = (b, length) => {
  const total = ((length + 8) >> 6) * 64 + 64;
  b.fill(0, length, total);
  b[length] = 0x80;
  const view = new DataView(b.buffer);
  view.setUint32(total - 4, length * 8);
  let [h0, h1, h2, h3, h4, h5, h6, h7] = start;
  for (let at = 0; at < total; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let a = h0, c1 = h1, c = h2, d = h3, e = h4, f = h5, g = h6, h = h7;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + key[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & c1) ^ (a & c) ^ (c1 & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = c1; c1 = a; a = (t1 + t2) | 0;
    }
    h0 = (h0 + a) | 0; h1 = (h1 + c1) | 0; h2 = (h2 + c) | 0; h3 = (h3 + d) | 0;
    h4 = (h4 + e) | 0; h5 = (h5 + f) | 0; h6 = (h6 + g) | 0; h7 = (h7 + h) | 0;
  }
  return h7 >>> 0;
};

onmessage = ({ data: { domain, label } }) => {
  const want = parseInt(label, 16);
  const bits = want.toString(2).length;
  const mask = bits === 32 ? 0xffffffff : 2 ** bits - 1;
  const random = Array.from(crypto.getRandomValues(new Uint8Array(12)), (x) => x.toString(16).padStart(2, "0")).join("");
  const base = new TextEncoder().encode(domain + random);
  const b = new Uint8Array(((base.length + 32) >> 6) * 64 + 128);
  b.set(base);
  for (let n = 0; ; n++) {
    const count = n.toString(16);
    for (let i = 0; i < count.length; i++) b[base.length + i] = count.charCodeAt(i);
    if (((last(b, base.length + count.length) & mask) >>> 0) === want) {
      postMessage(new TextDecoder().decode(b.subarray(0, base.length + count.length)));
      return;
    }
  }
};
