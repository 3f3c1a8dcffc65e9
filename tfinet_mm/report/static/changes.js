'use strict';
// The list of changed regions: its filter, its outlines, and its export.
const Changes = (() => {
  const SQUARE_METRES = 10000;
  const FIELDS = ['from', 'to', 'area', 'probability', 'box', 'outline'];

  // Outlines are stored as steps from corner to corner.
  function corners(steps) {
    const found = [];
    let [column, row] = [0, 0];
    for (let i = 0; i < steps.length; i += 2) {
      column += steps[i];
      row += steps[i + 1];
      found.push([column, row]);
    }
    return found;
  }

  function decode(list) {
    return list.map((values, i) => {
      const one = { number: i + 1 };
      FIELDS.forEach((name, place) => { one[name] = values[place]; });
      one.outline = (one.outline || []).map((part) => part.map(corners));
      return one;
    });
  }

  const isOpen = ({ least, most, probability }) => !(least > 0 || most < Infinity || probability > 0);

  function passes(one, on, { least, most, probability }) {
    return on.from.has(one.from) && on.to.has(one.to) && one.area >= least && one.area <= most
      && (probability <= 0 || (one.probability !== null && one.probability >= probability));
  }

  // Pixels (width x height) of the outlines as 0 and 1, of a scene of a full size.
  function mask(list, [fullWidth, fullHeight], width, height) {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.scale(width / fullWidth, height / fullHeight);
    for (const { outline } of list) {
      context.beginPath();
      for (const ring of outline.flat()) {
        ring.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
        context.closePath();
      }
      context.fill('evenodd');
    }
    const { data } = context.getImageData(0, 0, width, height);
    const found = new Uint8Array(width * height);
    for (let i = 0; i < found.length; i++) found[i] = data[4 * i + 3] ? 1 : 0;
    return found;
  }

  // Twice the area that a ring encloses, above 0 where it runs counterclockwise.
  const turn = (ring) => ring.slice(1).reduce((sum, [x, y], i) => sum + ring[i][0] * y - x * ring[i][1], 0);

  // The part of a ring on one side of 180 degrees, with longitudes from -180 to 180.
  function half(ring, west) {
    const inside = ([x]) => (west ? x <= 180 : x >= 180);
    const found = [];
    ring.slice(1).forEach((to, i) => {
      const from = ring[i];
      if (inside(from) !== inside(to)) {
        const share = (180 - from[0]) / (to[0] - from[0]);
        found.push([180, from[1] + share * (to[1] - from[1])]);
      }
      if (inside(to)) found.push(to);
    });
    if (found.length) found.push(found[0]);
    return found.map(([x, y]) => [west ? x : x - 360, y]);
  }

  // Parts of an outline as RFC 7946 wants them: degrees, outer rings counterclockwise and holes
  // clockwise, cut at 180 degrees.
  function polygons(outline, place) {
    const round = (value) => Number(value.toFixed(place.digits + 2));
    return outline.flatMap((part) => {
      const rings = part.map((ring) => ring.map(([column, row]) => place.degrees(column, row)));
      const start = rings[0][0][0];
      const open = rings.map((ring) => ring.map(([x, y]) => [start + Places.around(x - start), y]));
      const all = open[0].map(([x]) => x);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      let halves = [open];
      if (high > 180 || low < -180) {
        const moved = open.map((ring) => ring.map(([x, y]) => [low < -180 ? x + 360 : x, y]));
        halves = [true, false].map((west) => moved.map((ring) => half(ring, west)));
      }
      return halves.map((one) => one.filter((ring) => ring.length > 3)).filter((one) => one.length)
        .map((one) => one.map((ring, i) => {
          const ordered = (turn(ring) > 0) === (i === 0) ? ring : [...ring].reverse();
          return ordered.map(([x, y]) => [round(x), round(y)]);
        }));
    });
  }

  // A feature for each region that has an outline, with the fields of changes.gpkg.
  function geojson(list, place, names, unit) {
    const features = list.filter((one) => one.outline.length).map((one) => {
      const parts = polygons(one.outline, place);
      return {
        type: 'Feature',
        id: one.number,
        properties: {
          from: names[one.from],
          to: names[one.to],
          from_class: one.from,
          to_class: one.to,
          ...(unit === 'ha'
            ? { area_m2: Number((one.area * SQUARE_METRES).toFixed(2)) } : { area_px: one.area }),
          mean_prob: one.probability,
        },
        geometry: parts.length === 1
          ? { type: 'Polygon', coordinates: parts[0] } : { type: 'MultiPolygon', coordinates: parts },
      };
    });
    return { type: 'FeatureCollection', features };
  }

  function save(text, name, type) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  return { decode, isOpen, passes, mask, geojson, save };
})();
