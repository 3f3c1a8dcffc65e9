'use strict';
// From pixels of a scene to coordinates and back, on the mesh that place.py writes.
const Places = (() => {
  // WGS 84.
  const AXIS = 6378137;
  const SQUARED = 0.00669437999014;
  const RADIAN = Math.PI / 180;
  const around = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;
  const group = (value, digits) => value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });

  class Place {
    constructor(data, [width, height]) {
      Object.assign(this, data, { width, height });
      const [a, b, , d, e] = this.transform;
      const digits = (step) => Math.min(Math.max(Math.ceil(-Math.log10(step)), 0), 9);
      this.mapDigits = digits(Math.min(Math.hypot(a, d), Math.hypot(b, e)));
      if (!this.mesh) return;
      const metres = this.steps(width / 2, height / 2);
      const step = Math.min(Math.hypot(...metres.column), Math.hypot(...metres.row));
      this.digits = digits(step / (AXIS * RADIAN));
    }

    map(column, row) {
      const [a, b, c, d, e, f] = this.transform;
      return [a * column + b * row + c, d * column + e * row + f];
    }

    // Longitude and latitude in degrees.
    degrees(column, row) {
      const { kind, cells, nodes } = this.mesh;
      const x = (column / this.width) * cells;
      const y = (row / this.height) * cells;
      const left = Math.min(Math.max(Math.floor(x), 0), cells - 1);
      const top = Math.min(Math.max(Math.floor(y), 0), cells - 1);
      const [right, down] = [x - left, y - top];
      const at = top * (cells + 1) + left;
      const value = nodes[at].map((one, i) => (
        (one * (1 - right) + nodes[at + 1][i] * right) * (1 - down)
        + (nodes[at + cells + 1][i] * (1 - right) + nodes[at + cells + 2][i] * right) * down
      ));
      if (kind === 'degrees') return [around(value[0]), value[1]];
      const [u, v, w] = value;
      return [Math.atan2(v, u) / RADIAN, Math.atan2(w, Math.hypot(u, v)) / RADIAN];
    }

    // Metres east and north of a step to the next column, and to the next row.
    steps(column, row) {
      const far = [this.width / 64, this.height / 64];
      const latitude = this.degrees(column, row)[1] * RADIAN;
      const bent = 1 - SQUARED * Math.sin(latitude) ** 2;
      const east = (AXIS / Math.sqrt(bent)) * Math.cos(latitude) * RADIAN;
      const north = ((AXIS * (1 - SQUARED)) / bent ** 1.5) * RADIAN;
      const step = (dx, dy, length) => {
        const from = this.degrees(column - dx / 2, row - dy / 2);
        const to = this.degrees(column + dx / 2, row + dy / 2);
        return [(around(to[0] - from[0]) * east) / length, ((to[1] - from[1]) * north) / length];
      };
      return { column: step(far[0], 0, far[0]), row: step(0, far[1], far[1]) };
    }

    // Angle of north, clockwise from up, in degrees.
    north(column, row) {
      const { column: [ce, cn], row: [re, rn] } = this.steps(column, row);
      const area = ce * rn - re * cn;
      return Math.atan2(-re / area, -ce / area) / RADIAN;
    }

    // Column and row of a longitude and latitude, by Newton's method from the middle.
    pixel(longitude, latitude) {
      let [column, row] = [this.width / 2, this.height / 2];
      for (let i = 0; i < 8; i++) {
        const at = this.degrees(column, row);
        const right = this.degrees(column + 1, row);
        const below = this.degrees(column, row + 1);
        const [ce, cn] = [around(right[0] - at[0]), right[1] - at[1]];
        const [re, rn] = [around(below[0] - at[0]), below[1] - at[1]];
        const [east, north] = [around(longitude - at[0]), latitude - at[1]];
        const area = ce * rn - re * cn;
        column += (east * rn - re * north) / area;
        row += (ce * north - east * cn) / area;
      }
      return [column, row];
    }

    // Coordinates of a point as text: those of the map, then longitude and latitude.
    describe(column, row) {
      const [x, y] = this.map(column, row);
      const said = [`x ${group(x, this.mapDigits)}, y ${group(y, this.mapDigits)} (${this.code || this.system})`];
      if (this.mesh) {
        const [longitude, latitude] = this.degrees(column, row);
        const one = (value, names) => `${Math.abs(value).toFixed(this.digits)}°\u202f${names[value < 0 ? 1 : 0]}`;
        said.push(`${one(latitude, 'NS')}, ${one(longitude, 'EW')}`);
      }
      return said;
    }
  }

  // The longest of 1, 2, 5, 10 ... metres that isn't longer than some metres.
  function round(metres) {
    const power = 10 ** Math.floor(Math.log10(metres));
    const digit = [5, 2, 1].find((one) => one * power <= metres * (1 + 1e-9));
    return digit * power;
  }

  function length(metres) {
    if (metres >= 1000) return `${group(metres / 1000, 0)} km`;
    if (metres >= 1) return `${group(metres, 0)} m`;
    return `${Number((metres * 100).toPrecision(3))} cm`;
  }

  return { Place, round, length, around };
})();
