'use strict';
// Tiles of a map in Web Mercator, drawn on a scene's own grid. Nothing is asked for before the
// first draw.
const Basemaps = (() => {
  const SIDE = 256;
  const MOST_ZOOM = 19;
  const MOST_TILES = 48;
  const GIRTH = 2 * Math.PI * 6378137;
  const RADIAN = Math.PI / 180;

  const across = (longitude, count) => ((longitude + 180) / 360) * count;
  const down = (latitude, count) => {
    const angle = Math.min(Math.max(latitude, -85), 85) * RADIAN;
    return ((1 - Math.asinh(Math.tan(angle)) / Math.PI) / 2) * count;
  };
  const longitude = (x, count) => (x / count) * 360 - 180;
  const latitude = (y, count) => Math.atan(Math.sinh(Math.PI * (1 - (2 * y) / count))) / RADIAN;

  class Basemap {
    constructor(address, onLoad) {
      this.address = address;
      this.onLoad = onLoad;
      this.images = new Map();
    }

    image(zoom, x, y) {
      const count = 2 ** zoom;
      const names = { z: zoom, x: ((x % count) + count) % count, y };
      const address = this.address.replace(/\{([zxy])\}/g, (_, name) => names[name]);
      if (!this.images.has(address)) {
        const image = new Image();
        image.addEventListener('load', this.onLoad);
        this.images.set(address, image);
        image.src = address;
      }
      return this.images.get(address);
    }

    // Numbers of the tiles of a part of the scene, left, top, right, bottom in its pixels, at the
    // zoom at which they have as many pixels as the screen.
    tiles(place, [left, top, right, bottom], screenPixels) {
      const edge = [];
      for (let i = 0; i <= 8; i++) {
        const [x, y] = [left + ((right - left) * i) / 8, top + ((bottom - top) * i) / 8];
        edge.push([x, top], [x, bottom], [left, y], [right, y]);
      }
      const middle = place.degrees((left + right) / 2, (top + bottom) / 2);
      const points = edge.map(([x, y]) => place.degrees(x, y))
        .map(([x, y]) => [middle[0] + Places.around(x - middle[0]), y]);
      const metres = Math.hypot(...place.steps((left + right) / 2, (top + bottom) / 2).column) * screenPixels;
      const fits = Math.log2((GIRTH * Math.cos(middle[1] * RADIAN)) / (SIDE * metres));
      for (let zoom = Math.min(Math.max(Math.round(fits), 0), MOST_ZOOM); ; zoom--) {
        const count = 2 ** zoom;
        const xs = points.map(([x]) => Math.floor(across(x, count)));
        const ys = points.map(([, y]) => Math.min(Math.max(Math.floor(down(y, count)), 0), count - 1));
        const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
        if ((x1 - x0 + 1) * (y1 - y0 + 1) > MOST_TILES && zoom > 0) continue;
        const found = [];
        for (let x = x0; x <= x1; x++) for (let y = y0; y <= y1; y++) found.push([zoom, x, y]);
        return found;
      }
    }

    // Draw a part of the scene on a context that counts in the scene's pixels.
    draw(context, place, part, screenPixels) {
      for (const [zoom, x, y] of this.tiles(place, part, screenPixels)) {
        const image = this.image(zoom, x, y);
        if (!image.complete || !image.naturalWidth) continue;
        const count = 2 ** zoom;
        const corner = (i, j) => place.pixel(Places.around(longitude(x + i, count)), latitude(y + j, count));
        const [start, right, below] = [corner(0, 0), corner(1, 0), corner(0, 1)];
        const step = (to) => to.map((one, i) => (one - start[i]) / SIDE);
        context.save();
        context.transform(...step(right), ...step(below), ...start);
        // Half a pixel over, so that no seam shows between two tiles.
        context.drawImage(image, 0, 0, SIDE + 0.5, SIDE + 0.5);
        context.restore();
      }
    }
  }

  return { Basemap };
})();
