/**
 * QR codes as squares (ISO/IEC 18004): text in byte or alphanumeric mode, versions 1 to 40, error
 * correction L or M.
 */

const ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const PAD = [0xec, 0x11];

// By version from 1: check codewords of a block, and how many blocks there are (the standard's table 9).
const CORRECTION = {
  L: {
    bits: 1,
    checks: [
      7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28,
      28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
    ],
    blocks: [
      1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8,
      8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25,
    ],
  },
  M: {
    bits: 0,
    checks: [
      10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26,
      26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    ],
    blocks: [
      1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16,
      17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49,
    ],
  },
};

const MASKS = [
  (x, y) => (x + y) % 2 === 0,
  (x, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** Multiplication in the field of 256 elements of polynomial 0x11d. */
function times(one, other) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ ((product >>> 7) * 0x11d);
    product ^= ((other >>> bit) & 1) * one;
  }
  return product;
}

function generator(degree) {
  const factors = new Uint8Array(degree);
  factors[degree - 1] = 1;
  let root = 1;
  for (let at = 0; at < degree; at += 1) {
    for (let place = 0; place < degree; place += 1) {
      factors[place] = times(factors[place], root) ^ (factors[place + 1] ?? 0);
    }
    root = times(root, 2);
  }
  return factors;
}

function checksOf(data, factors) {
  const rest = new Array(factors.length).fill(0);
  for (const byte of data) {
    const lead = byte ^ rest.shift();
    rest.push(0);
    factors.forEach((factor, at) => {
      rest[at] ^= times(factor, lead);
    });
  }
  return rest;
}

/** How many squares of a version carry data: all but those with a task of their own. */
function modulesFor(version) {
  const aligned = Math.floor(version / 7) + 2;
  let count = (16 * version + 128) * version + 64;
  if (version >= 2) {
    count -= (25 * aligned - 10) * aligned - 55;
    count -= version >= 7 ? 36 : 0;
  }
  return count;
}

function dataCodewords(version, { checks, blocks }) {
  return Math.floor(modulesFor(version) / 8) - checks[version - 1] * blocks[version - 1];
}

class Bits {
  constructor() {
    this.bits = [];
  }

  push(value, width) {
    for (let bit = width - 1; bit >= 0; bit -= 1) {
      this.bits.push((value >>> bit) & 1);
    }
  }
}

/** The text's bits for a version: mode, count, content. */
function segment(text, version) {
  const out = new Bits();
  if ([...text].every((character) => ALPHANUMERIC.includes(character))) {
    out.push(0b0010, 4);
    out.push(text.length, version < 10 ? 9 : version < 27 ? 11 : 13);
    for (let at = 0; at < text.length; at += 2) {
      const [one, other] = [...text.slice(at, at + 2)].map((character) => ALPHANUMERIC.indexOf(character));
      other === undefined ? out.push(one, 6) : out.push(45 * one + other, 11);
    }
    return out;
  }
  const bytes = new TextEncoder().encode(text);
  out.push(0b0100, 4);
  out.push(bytes.length, version < 10 ? 8 : 16);
  bytes.forEach((byte) => out.push(byte, 8));
  return out;
}

/** The codewords in the order in which they are drawn: blocks interleaved, then their checks. */
function codewords(bits, version, correction) {
  const room = dataCodewords(version, correction);
  bits.push(0, Math.min(4, 8 * room - bits.bits.length));
  bits.push(0, (8 - (bits.bits.length % 8)) % 8);
  const data = Array.from({ length: bits.bits.length / 8 }, (_, at) =>
    Number.parseInt(bits.bits.slice(8 * at, 8 * at + 8).join(""), 2),
  );
  for (let at = 0; data.length < room; at += 1) {
    data.push(PAD[at % 2]);
  }
  const [count, width] = [correction.blocks[version - 1], correction.checks[version - 1]];
  const short = Math.floor(room / count);
  const longs = room % count;
  const factors = generator(width);
  let taken = 0;
  const blocks = Array.from({ length: count }, (_, at) => {
    const size = short + (at >= count - longs ? 1 : 0);
    taken += size;
    return data.slice(taken - size, taken);
  });
  const checks = blocks.map((block) => checksOf(block, factors));
  const interleaved = [];
  for (const [rows, length] of [[blocks, short + 1], [checks, width]]) {
    for (let at = 0; at < length; at += 1) {
      rows.forEach((row) => row[at] !== undefined && interleaved.push(row[at]));
    }
  }
  return interleaved;
}

class Drawing {
  constructor(version, correction) {
    this.version = version;
    this.correction = correction;
    this.size = 17 + 4 * version;
    this.dark = Array.from({ length: this.size }, () => new Array(this.size).fill(false));
    this.fixed = Array.from({ length: this.size }, () => new Array(this.size).fill(false));
    this.drawTimings();
    this.drawFinders();
    this.drawAlignments();
    this.drawFormat(0);
    this.drawVersion();
  }

  set(x, y, isDark) {
    this.dark[y][x] = isDark;
    this.fixed[y][x] = true;
  }

  drawTimings() {
    for (let at = 0; at < this.size; at += 1) {
      this.set(6, at, at % 2 === 0);
      this.set(at, 6, at % 2 === 0);
    }
  }

  /** Rings around a centre: dark but for one or two of them. */
  drawRings(cx, cy, radius, light) {
    for (let dy = -radius; dy <= radius; dy += 1) {
      for (let dx = -radius; dx <= radius; dx += 1) {
        const [x, y] = [cx + dx, cy + dy];
        if (x >= 0 && x < this.size && y >= 0 && y < this.size) {
          this.set(x, y, !light.includes(Math.max(Math.abs(dx), Math.abs(dy))));
        }
      }
    }
  }

  drawFinders() {
    const far = this.size - 4;
    for (const [x, y] of [[3, 3], [far, 3], [3, far]]) {
      this.drawRings(x, y, 4, [2, 4]);
    }
  }

  drawAlignments() {
    if (this.version === 1) {
      return;
    }
    const count = Math.floor(this.version / 7) + 2;
    const step = Math.floor((this.version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2;
    const places = Array.from({ length: count - 1 }, (_, at) => this.size - 7 - at * step).reverse();
    places.unshift(6);
    const last = count - 1;
    places.forEach((y, row) =>
      places.forEach((x, column) => {
        const isFinder = (row === 0 && (column === 0 || column === last)) || (row === last && column === 0);
        if (!isFinder) {
          this.drawRings(x, y, 2, [1]);
        }
      }),
    );
  }

  drawFormat(mask) {
    const data = (this.correction.bits << 3) | mask;
    let rest = data;
    for (let turn = 0; turn < 10; turn += 1) {
      rest = (rest << 1) ^ ((rest >>> 9) * 0x537);
    }
    const bits = ((data << 10) | rest) ^ 0x5412;
    const bit = (at) => ((bits >>> at) & 1) === 1;
    const besideFirst = [0, 1, 2, 3, 4, 5, 7, 8];
    besideFirst.forEach((place, at) => this.set(8, place, bit(at)));
    [7, 5, 4, 3, 2, 1, 0].forEach((place, at) => this.set(place, 8, bit(at + 8)));
    for (let at = 0; at < 8; at += 1) {
      this.set(this.size - 1 - at, 8, bit(at));
    }
    for (let at = 8; at < 15; at += 1) {
      this.set(8, this.size - 15 + at, bit(at));
    }
    this.set(8, this.size - 8, true);
  }

  drawVersion() {
    if (this.version < 7) {
      return;
    }
    let rest = this.version;
    for (let turn = 0; turn < 12; turn += 1) {
      rest = (rest << 1) ^ ((rest >>> 11) * 0x1f25);
    }
    const bits = (this.version << 12) | rest;
    for (let at = 0; at < 18; at += 1) {
      const isDark = ((bits >>> at) & 1) === 1;
      const [across, down] = [this.size - 11 + (at % 3), Math.floor(at / 3)];
      this.set(across, down, isDark);
      this.set(down, across, isDark);
    }
  }

  /** Columns of two from the right, upwards and downwards in turn, around what is fixed. */
  drawData(words) {
    let at = 0;
    for (let right = this.size - 1; right >= 1; right -= 2) {
      if (right === 6) {
        right = 5;
      }
      for (let turn = 0; turn < this.size; turn += 1) {
        const y = ((right + 1) & 2) === 0 ? this.size - 1 - turn : turn;
        for (const x of [right, right - 1]) {
          if (!this.fixed[y][x] && at < 8 * words.length) {
            this.dark[y][x] = ((words[at >>> 3] >>> (7 - (at & 7))) & 1) === 1;
            at += 1;
          }
        }
      }
    }
  }

  flip(mask) {
    this.dark.forEach((row, y) =>
      row.forEach((_, x) => {
        if (!this.fixed[y][x] && MASKS[mask](x, y)) {
          row[x] = !row[x];
        }
      }),
    );
  }

  /** How hard it would be to read: long runs, blocks, what looks like a finder, too much of one colour. */
  penalty() {
    const columns = this.dark[0].map((_, x) => this.dark.map((row) => row[x]));
    let sum = 0;
    for (const line of [...this.dark, ...columns]) {
      const text = line.map(Number).join("");
      for (const [run] of text.matchAll(/0{5,}|1{5,}/g)) {
        sum += run.length - 2;
      }
      sum += 40 * [...text.matchAll(/(?=10111010000|00001011101)/g)].length;
    }
    for (let y = 1; y < this.size; y += 1) {
      for (let x = 1; x < this.size; x += 1) {
        const [above, row] = [this.dark[y - 1], this.dark[y]];
        sum += row[x] === row[x - 1] && row[x] === above[x] && row[x] === above[x - 1] ? 3 : 0;
      }
    }
    const darkCount = this.dark.flat().filter(Boolean).length;
    const off = Math.abs(20 * darkCount - 10 * this.size * this.size);
    return sum + 10 * Math.max(0, Math.ceil(off / (this.size * this.size)) - 1);
  }
}

/** The squares of a text, true for dark, row by row; null for a text too long for any QR code. */
export function qrSquares(text, level = "M") {
  const correction = CORRECTION[level];
  for (let version = 1; version <= 40; version += 1) {
    const bits = segment(text, version);
    if (bits.bits.length <= 8 * dataCodewords(version, correction)) {
      const drawing = new Drawing(version, correction);
      drawing.drawData(codewords(bits, version, correction));
      const scores = MASKS.map((_, mask) => {
        drawing.flip(mask);
        drawing.drawFormat(mask);
        const score = drawing.penalty();
        drawing.flip(mask);
        return score;
      });
      const best = scores.indexOf(Math.min(...scores));
      drawing.flip(best);
      drawing.drawFormat(best);
      return drawing.dark;
    }
  }
  return null;
}
