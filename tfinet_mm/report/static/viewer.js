'use strict';
// The picture: both dates, the overlay over them, swipe, zoom and pan, on one canvas.
const Viewer = (() => {
  const STOPS = [[0, 32, 77], [61, 78, 108], [124, 123, 120], [186, 174, 108], [255, 233, 69]];
  const ERRORS = [
    ['right', [0, 158, 115]],
    ['missed', [255, 130, 0]],
    ['false', [60, 130, 255]],
    ['wrong class', [204, 121, 167]],
    ['left out', [120, 120, 120]],
  ];

  function ramp(share) {
    const place = Math.min(share, 0.9999) * (STOPS.length - 1);
    const low = STOPS[Math.floor(place)];
    const high = STOPS[Math.floor(place) + 1];
    const part = place - Math.floor(place);
    return low.map((v, i) => Math.round(v + (high[i] - v) * part));
  }

  class View {
    constructor(shared, elements, onRead) {
      this.shared = shared;
      Object.assign(this, elements);
      this.onRead = onRead;
      this.context = this.canvas.getContext('2d');
      this.mode = 'dates';
      this.layer = 'prediction';
      this.opacity = 0.6;
      this.swipe = 0.5;
      this.box = null;
      this.pair = null;
      // Pixels to which changes are limited, 1 each, or null; and a function called when it is drawn.
      this.mask = null;
      this.onDraw = () => {};
      // A function that draws in place of the images, or null.
      this.backdrop = null;
      this.on = { from: new Set(), to: new Set() };
      this.fit();
      this._listen();
      new ResizeObserver(() => this.draw()).observe(this.stage);
    }

    fit() {
      this.zoom = 1;
      this.centre = [0.5, 0.5];
      this.box = null;
    }

    // What was decoded of a pair: images or null, maps, width and height.
    show(pair) {
      this.pair = pair;
      this.stage.style.setProperty('--ratio', String(pair.width / pair.height));
      this.fit();
      this.recolour();
    }

    // The maps of prediction or annotation that overlays are made of.
    maps() {
      const annotated = this.layer === 'annotation' && this.pair.annotatedFrom;
      return annotated
        ? [this.pair.annotatedFrom, this.pair.annotatedTo]
        : [this.pair.from, this.pair.to];
    }

    // Whether changed pixels of two classes are ticked, as a function that is quick a pixel.
    visibility() {
      const [from, to] = [this.on.from, this.on.to].map((ticked) => {
        const table = new Uint8Array(256);
        for (const index of ticked) table[index] = 1;
        return table;
      });
      return (a, b) => from[a] && to[b];
    }

    // Colours of one date's, or a mode's, overlay as a canvas of the map's size.
    paint(mode, maps = this.maps()) {
      const { width, height, probability } = this.pair;
      const { palette, changeColour, nodata, probabilitySteps } = this.shared;
      const [from, to] = maps;
      const canvas = document.createElement('canvas');
      canvas.width = width;
      canvas.height = height;
      if (mode === 'none') return canvas;
      const context = canvas.getContext('2d');
      const image = context.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      const pack = (c) => ((255 << 24) | (c[2] << 16) | (c[1] << 8) | c[0]) >>> 0;
      const colours = palette.map(pack);
      const grey = pack([127, 127, 127]);
      const change = pack(changeColour);
      const steps = Array.from({ length: probabilitySteps + 1 }, (_, i) => pack(ramp(i / probabilitySteps)));
      const errors = ERRORS.map(([, colour]) => pack(colour));
      const visible = this.visibility();
      const { mask } = this;
      const stripe = Math.max(1, Math.round(Math.max(width, height) / 110));
      for (let i = 0; i < pixels.length; i++) {
        const a = from[i];
        const b = to[i];
        if (mode === 'probability') {
          if (probability[i] !== nodata && probability[i] > 0) pixels[i] = steps[probability[i]];
        } else if (mode === 'errors') {
          const kind = this._error(i, visible);
          if (kind >= 0) pixels[i] = errors[kind];
        } else if (a === nodata || b === nodata) {
          if (mode !== 'change') pixels[i] = grey;
        } else if (visible(a, b) && (!mask || mask[i])) {
          if (mode === 'change') pixels[i] = change;
          else if (mode === 'from') pixels[i] = colours[a];
          else if (mode === 'to') pixels[i] = colours[b];
          else {
            const band = Math.floor(((i % width) + Math.floor(i / width)) / stripe) & 1;
            pixels[i] = colours[band ? b : a];
          }
        }
      }
      context.putImageData(image, 0, 0);
      return canvas;
    }

    // Place in ERRORS of a pixel, -1 where it is right to be unchanged or not ticked.
    _error(i, visible) {
      const { from, to, annotatedFrom, annotatedTo } = this.pair;
      const { nodata } = this.shared;
      const found = from[i] > 0;
      const annotated = annotatedFrom[i] > 0;
      if (annotatedFrom[i] === nodata || annotatedTo[i] === nodata) return 4;
      if (!found && !annotated) return -1;
      const known = annotated
        ? visible(annotatedFrom[i], annotatedTo[i])
        : visible(from[i], to[i]);
      if (!known) return -1;
      if (!found) return 1;
      if (!annotated) return 2;
      return from[i] === annotatedFrom[i] && to[i] === annotatedTo[i] ? 0 : 3;
    }

    recolour() {
      if (!this.pair) return;
      this.overlays = this.mode === 'dates'
        ? [this.paint('from'), this.paint('to')]
        : [this.paint(this.mode)];
      this.draw();
    }

    // Scale and offset in CSS pixels that bring the picture to the stage.
    place() {
      const width = this.stage.clientWidth;
      const height = this.stage.clientHeight;
      const { width: w, height: h } = this.pair;
      const scale = Math.min(width / w, height / h) * this.zoom;
      // The picture covers the stage as far as it can.
      const clamp = (centre, size, stage) => {
        const half = stage / (2 * scale * size);
        return half >= 0.5 ? 0.5 : Math.min(Math.max(centre, half), 1 - half);
      };
      this.centre = [clamp(this.centre[0], w, width), clamp(this.centre[1], h, height)];
      return {
        scale,
        left: width / 2 - this.centre[0] * w * scale,
        top: height / 2 - this.centre[1] * h * scale,
        width,
        height,
      };
    }

    draw() {
      if (!this.pair || !this.stage.clientWidth) return;
      const place = this.place();
      const ratio = window.devicePixelRatio || 1;
      const [w, h] = [Math.round(place.width * ratio), Math.round(place.height * ratio)];
      if (this.canvas.width !== w || this.canvas.height !== h) {
        this.canvas.width = w;
        this.canvas.height = h;
      }
      const { context: c } = this;
      c.setTransform(ratio, 0, 0, ratio, 0, 0);
      c.clearRect(0, 0, place.width, place.height);
      const split = this.swipe * place.width;
      this._side(place, this.pair.before, this.overlays[0], 0, split);
      this._side(place, this.pair.after, this.overlays[this.overlays.length - 1], split, place.width);
      if (this.box) this._frame(place);
      this.onDraw(place);
      this.divider.style.left = `${this.swipe * 100}%`;
      this.stage.classList.toggle('zoomed', this.zoom > 1);
    }

    _side(place, image, overlay, left, right) {
      if (right <= left) return;
      const { context: c } = this;
      const at = [place.left, place.top, this.pair.width * place.scale, this.pair.height * place.scale];
      c.save();
      c.beginPath();
      c.rect(left, 0, right - left, place.height);
      c.clip();
      if (this.backdrop) {
        c.fillStyle = '#8a8f98';
        c.fillRect(...at);
        this.backdrop(c, place);
      } else if (image) {
        c.imageSmoothingEnabled = place.scale < 4;
        c.imageSmoothingQuality = 'high';
        c.drawImage(image, ...at);
      } else {
        c.fillStyle = '#8a8f98';
        c.fillRect(...at);
      }
      // Classes have no values between them; only reduced maps are smoothed.
      c.imageSmoothingEnabled = place.scale < 1;
      c.globalAlpha = this.opacity;
      c.drawImage(overlay, ...at);
      c.restore();
    }

    _frame(place) {
      const { context: c } = this;
      const [l, t, r, b] = this.box;
      const { width, height } = this.pair;
      const x = place.left + l * width * place.scale - 4;
      const y = place.top + t * height * place.scale - 4;
      const w = Math.max((r - l) * width * place.scale, 2) + 8;
      const h = Math.max((b - t) * height * place.scale, 2) + 8;
      for (const [colour, line] of [['#000', 4], ['#fff', 2]]) {
        c.strokeStyle = colour;
        c.lineWidth = line;
        c.strokeRect(x, y, w, h);
      }
    }

    // Bring a box of shares 0..1 into the middle, with its surroundings.
    jump(box) {
      const { width, height } = this.pair;
      const [l, t, r, b] = box;
      this.zoom = 1;
      const place = this.place();
      const fill = Math.max(
        ((r - l) * width * place.scale) / place.width,
        ((b - t) * height * place.scale) / place.height,
        1e-6,
      );
      this.zoom = Math.min(Math.max(0.4 / fill, 1), this.maxZoom());
      this.centre = [(l + r) / 2, (t + b) / 2];
      this.box = box;
      this.draw();
    }

    maxZoom() {
      // Sixteen screen pixels for one of the picture.
      const fit = Math.min(
        this.stage.clientWidth / this.pair.width,
        this.stage.clientHeight / this.pair.height,
      );
      return Math.max(16 / fit, 4);
    }

    zoomBy(factor, at = null) {
      if (!this.pair) return;
      const before = this.place();
      const [x, y] = at || [before.width / 2, before.height / 2];
      const { width, height } = this.pair;
      const point = [(x - before.left) / before.scale, (y - before.top) / before.scale];
      this.zoom = Math.min(Math.max(this.zoom * factor, 1), this.maxZoom());
      const scale = (before.scale * this.zoom) / (before.scale / this._fitScale());
      this.centre = [
        (point[0] + (before.width / 2 - x) / scale) / width,
        (point[1] + (before.height / 2 - y) / scale) / height,
      ];
      this.draw();
    }

    _fitScale() {
      return Math.min(
        this.stage.clientWidth / this.pair.width,
        this.stage.clientHeight / this.pair.height,
      );
    }

    panBy(dx, dy) {
      const { scale } = this.place();
      this.centre = [
        this.centre[0] - dx / (this.pair.width * scale),
        this.centre[1] - dy / (this.pair.height * scale),
      ];
      this.draw();
    }

    setSwipe(share) {
      this.swipe = Math.min(Math.max(share, 0), 1);
      this.draw();
      this.swipeInput.value = String(Math.round(this.swipe * 100));
      this.swipeInput.setAttribute('aria-valuetext', `${this.swipeInput.value} percent before`);
    }

    // Column and row in the middle of the stage.
    middle() {
      const place = this.place();
      return [(place.width / 2 - place.left) / place.scale, (place.height / 2 - place.top) / place.scale];
    }

    // Column and row under a point of the screen, with their fractions, or null.
    pixel(event) {
      if (!this.pair) return null;
      const corner = this.stage.getBoundingClientRect();
      const place = this.place();
      const x = (event.clientX - corner.left - place.left) / place.scale;
      const y = (event.clientY - corner.top - place.top) / place.scale;
      return x >= 0 && y >= 0 && x < this.pair.width && y < this.pair.height ? [x, y] : null;
    }

    _listen() {
      const { stage, canvas, divider } = this;
      const pointers = new Map();
      const share = (event) => {
        const corner = stage.getBoundingClientRect();
        return (event.clientX - corner.left) / corner.width;
      };
      divider.addEventListener('pointerdown', (event) => {
        divider.setPointerCapture(event.pointerId);
        event.preventDefault();
      });
      divider.addEventListener('pointermove', (event) => {
        if (divider.hasPointerCapture(event.pointerId)) this.setSwipe(share(event));
      });
      canvas.addEventListener('pointerdown', (event) => {
        pointers.set(event.pointerId, [event.clientX, event.clientY]);
        canvas.setPointerCapture(event.pointerId);
      });
      canvas.addEventListener('pointermove', (event) => {
        if (event.pointerType === 'mouse' || pointers.size === 1) this.onRead(this.pixel(event));
        const last = pointers.get(event.pointerId);
        if (!last || !this.pair) return;
        const now = [event.clientX, event.clientY];
        if (pointers.size === 2) {
          const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
          const span = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
          const corner = stage.getBoundingClientRect();
          const middle = [(now[0] + other[0]) / 2 - corner.left, (now[1] + other[1]) / 2 - corner.top];
          this.zoomBy(span(now) / Math.max(span(last), 1), middle);
        } else if (this.zoom > 1) {
          this.panBy(now[0] - last[0], now[1] - last[1]);
        }
        pointers.set(event.pointerId, now);
      });
      for (const kind of ['pointerup', 'pointercancel']) {
        canvas.addEventListener(kind, (event) => pointers.delete(event.pointerId));
      }
      canvas.addEventListener('pointerleave', () => this.onRead(null));
      canvas.addEventListener('dblclick', (event) => {
        const corner = stage.getBoundingClientRect();
        this.zoomBy(2, [event.clientX - corner.left, event.clientY - corner.top]);
      });
      // Without Ctrl the wheel scrolls the page.
      stage.addEventListener('wheel', (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const corner = stage.getBoundingClientRect();
        this.zoomBy(Math.exp(-event.deltaY / 300), [event.clientX - corner.left, event.clientY - corner.top]);
      }, { passive: false });
      canvas.addEventListener('keydown', (event) => this._key(event));
    }

    _key(event) {
      const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      const move = moves[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey || !this.pair) return;
      if (event.key === '+' || event.key === '=') this.zoomBy(1.5);
      else if (event.key === '-') this.zoomBy(1 / 1.5);
      else if (event.key === '0') {
        this.fit();
        this.draw();
      } else if (move && this.zoom > 1) this.panBy(move[0] * 60, move[1] * 60);
      else if (move && move[0]) this.setSwipe(this.swipe - move[0] * 0.02);
      else return;
      this.onRead(this.middle());
      event.preventDefault();
    }
  }

  return { View, ERRORS, ramp };
})();
