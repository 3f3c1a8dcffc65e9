'use strict';
// Brings the parts together: which pair is in view, its controls, the theme.
(() => {
  const find = (id) => document.getElementById(id);
  const shared = JSON.parse(find('report-data').textContent);
  const names = shared.classes.slice(1);
  const { palette } = shared;
  let pair = null;
  let refreshBoxes = () => {};
  // Regions of the pair in view, those that pass the filter, and where its pixels are.
  let changes = [];
  let listed = [];
  let place = null;
  const NO_FILTER = { least: 0, most: Infinity, probability: 0 };
  let filter = { ...NO_FILTER };
  let shown = 0;

  const view = new Viewer.View(shared, {
    stage: find('stage'), canvas: find('canvas'), divider: find('divider'), swipeInput: find('swipe'),
  }, read);
  const every = () => names.map((_, i) => i + 1);
  view.on = { from: new Set(every()), to: new Set(every()) };
  view.onDraw = furniture;
  const ALL = new Set(every());
  // Each list is one tab stop.
  const stops = {
    classes: Lists.rove(find('classes'), 'input'),
    changes: Lists.rove(find('polygons'), 'button'),
  };
  if (find('film')) Lists.rove(find('film'), 'button');

  function say(message) {
    find('said').textContent = message;
  }

  function read(pixel) {
    const line = find('readout');
    if (!pixel || !view.pair) {
      line.textContent = 'Point at the picture to read a pixel.';
      return;
    }
    const [x, y] = pixel.map(Math.floor);
    const at = y * view.pair.width + x;
    const describe = (from, to) => {
      if (from === shared.nodata || to === shared.nodata) return 'no data';
      return from && to ? `${shared.classes[from]} → ${shared.classes[to]}` : shared.classes[0];
    };
    const parts = [describe(view.pair.from[at], view.pair.to[at])];
    if (view.pair.annotatedFrom) parts.push(`annotated ${describe(view.pair.annotatedFrom[at], view.pair.annotatedTo[at])}`);
    const p = view.pair.probability ? view.pair.probability[at] : shared.nodata;
    if (p !== shared.nodata) parts.push(`P ${(p / shared.probabilitySteps).toFixed(2)}`);
    const [w, h] = pair.size;
    if (place) parts.push(...place.describe((pixel[0] * w) / view.pair.width, (pixel[1] * h) / view.pair.height));
    parts.push(`column ${Math.floor(((x + 0.5) * w) / view.pair.width)}, row ${Math.floor(((y + 0.5) * h) / view.pair.height)}`);
    line.textContent = parts.join(' · ');
  }

  async function select(number, focus = false) {
    shown = number;
    const data = JSON.parse(find(`pair-${number}`).textContent);
    const optional = (uri, how) => (uri ? how(uri) : null);
    const [before, after, from, to, annotatedFrom, annotatedTo, probability] = await Promise.all([
      optional(data.before, Maps.picture),
      optional(data.after, Maps.picture),
      Maps.decode(data.from),
      Maps.decode(data.to),
      optional(data.annotatedFrom, Maps.decode),
      optional(data.annotatedTo, Maps.decode),
      optional(data.probability, Maps.decode),
    ]);
    // Another pair was asked for meanwhile.
    if (shown !== number) return;
    pair = data;
    changes = Changes.decode(pair.polygons);
    place = pair.place ? new Places.Place(pair.place, pair.size) : null;
    view.mask = null;
    if (basemap) {
      find('panel-basemap').hidden = !(place && place.mesh);
      if (!place || !place.mesh) showBasemap(false);
    }
    const values = (map) => (map ? map.values : null);
    describe();
    const modes = { probability: Boolean(probability), errors: Boolean(annotatedFrom) };
    for (const input of document.querySelectorAll('#modes input')) {
      input.disabled = modes[input.value] === false;
      if (input.checked && input.disabled) {
        document.querySelector('#modes input[value=dates]').checked = true;
        view.mode = 'dates';
      }
    }
    view.show({
      width: from.width, height: from.height, before, after, from: from.values, to: to.values,
      annotatedFrom: values(annotatedFrom), annotatedTo: values(annotatedTo), probability: values(probability),
    });
    legend();
    tables();
    plots();
    sideBySide();
    if (focus) {
      find('pair-name').focus({ preventScroll: true });
      find('viewer').scrollIntoView({ block: 'start' });
      say(`${pair.name} is shown`);
    }
    document.documentElement.dataset.ready = String(number);
  }

  function describe() {
    find('pair-name').textContent = pair.name;
    const { areas } = pair;
    const parts = [`${pair.size[0].toLocaleString('en')} × ${pair.size[1].toLocaleString('en')} pixels`];
    if (pair.shown[0] !== pair.size[0]) parts.push(`shown at ${pair.shown.join(' × ')}`);
    parts.push(`${Tables.percent(areas.share)} changed`);
    if (pair.scores) parts.push(`pair score ${pair.scores.score.toFixed(1)}`, `${Tables.percent(pair.scores.wrong)} wrong`);
    if (!pair.before || !pair.after) parts.push('images not found');
    find('pair-meta').textContent = parts.join(' · ');
    find('pair-registration').textContent = pair.registration;
    find('pair-registration').hidden = !pair.registration;
    find('pair-not-seen').textContent = pair.notSeen;
    find('pair-not-seen').hidden = !pair.notSeen;
    find('canvas').setAttribute('aria-label', `${pair.name} before and after, ${Tables.percent(areas.share)} changed`);
    find('panel-facts').hidden = !pair.facts.length;
    Tables.facts(find('facts'), pair.facts);
    if (find('pair-number')) {
      find('pair-number').textContent = `${shown + 1} / ${shared.pairs}`;
      find('previous').disabled = shown === 0;
      find('next').disabled = shown === shared.pairs - 1;
    }
    for (const button of document.querySelectorAll('#film button')) {
      if (Number(button.dataset.pair) === shown) {
        button.setAttribute('aria-current', 'true');
        const film = find('film');
        const offset = button.getBoundingClientRect().left - film.getBoundingClientRect().left;
        if (offset < 0 || offset > film.clientWidth - button.offsetWidth) film.scrollLeft += offset - 16;
      } else button.removeAttribute('aria-current');
    }
  }

  function legend() {
    const key = find('key');
    const entries = [];
    if (view.mode === 'change') entries.push(['changed', shared.changeColour]);
    if (view.mode === 'errors') entries.push(...Viewer.ERRORS);
    if (view.mode === 'probability') {
      for (const p of [0.05, 0.25, 0.5, 0.75, 1]) entries.push([p.toFixed(2), Viewer.ramp(p)]);
    }
    key.hidden = !entries.length;
    key.replaceChildren(...entries.map(([name, colour]) => Tables.element('span', {}, Tables.swatch(colour), name)));
  }

  // The scale bar and the arrow of the middle of what is shown.
  function furniture({ scale: zoom, width }) {
    const known = Boolean(place && place.mesh);
    find('scale').hidden = !known;
    find('north').hidden = !known;
    if (!known) return;
    const factor = pair.size[0] / view.pair.width;
    const [x, y] = view.middle().map((one) => one * factor);
    const metres = (Math.hypot(...place.steps(x, y).column) * factor) / zoom;
    const length = Places.round(metres * Math.min(120, width * 0.3));
    find('scale-bar').style.width = `${length / metres}px`;
    find('scale-text').textContent = Places.length(length);
    const angle = Math.round(place.north(x, y));
    find('north').style.transform = `rotate(${angle}deg)`;
    find('north').setAttribute('aria-label', angle ? `North, ${angle} degrees from up` : 'North is up');
  }

  // Shows and hides the rows of the list, and limits the picture to it where sizes or P do.
  function filterChanges() {
    if (!pair) return;
    const open = Changes.isOpen(filter);
    listed = changes.filter((one) => Changes.passes(one, view.on, filter));
    const rows = find('polygons').tBodies.length ? find('polygons').tBodies[0].rows : [];
    for (const row of rows) row.hidden = true;
    for (const { number } of listed) if (rows[number - 1]) rows[number - 1].hidden = false;
    stops.changes();
    const limited = open ? null : changes.filter((one) => Changes.passes(one, { from: ALL, to: ALL }, filter));
    view.mask = limited && view.pair ? Changes.mask(limited, pair.size, view.pair.width, view.pair.height) : null;
    const count = pair.polygonCount;
    const whole = (value) => value.toLocaleString('en');
    const said = [count > changes.length
      ? `The ${whole(changes.length)} largest of ${whole(count)}.` : `All ${whole(count)}, the largest first.`];
    if (listed.length < changes.length) {
      const area = listed.reduce((sum, one) => sum + one.area, 0);
      said.push(`${whole(listed.length)} of them pass the filter, ${Tables.area(area, pair.areas.unit)} ${pair.areas.unit}.`);
    }
    if (!open) said.push('The picture shows these alone.');
    find('hint-polygons').textContent = said.join(' ');
    const outlined = listed.filter((one) => one.outline.length).length;
    find('export').hidden = !(place && place.mesh);
    find('export').disabled = !outlined;
    find('export').textContent = `Save ${whole(outlined)} as GeoJSON`;
    const lost = listed.length - outlined;
    find('hint-export').textContent = lost && !find('export').hidden
      ? `${whole(lost)} have too many corners for this page; changes.gpkg has them.` : '';
  }

  function filtered() {
    filterChanges();
    view.recolour();
    sideBySide();
    const all = view.on.from.size === names.length && view.on.to.size === names.length;
    find('show-all').disabled = all;
    const single = view.on.from.size === 1 && view.on.to.size === 1;
    const [from] = view.on.from;
    const [to] = view.on.to;
    find('filter-state').textContent = single
      ? `Only ${shared.classes[from]} → ${shared.classes[to]} is shown.`
      : 'Changed pixels are shown whose class before and class after are both ticked.';
  }

  function only(from, to) {
    view.on.from.clear();
    view.on.to.clear();
    view.on.from.add(from);
    view.on.to.add(to);
    refreshBoxes();
    filtered();
    say(find('filter-state').textContent);
  }

  function tables() {
    const { areas } = pair;
    find('class-unit').textContent = areas.unit === 'ha' ? 'changed, hectares' : 'changed, pixels';
    refreshBoxes = Tables.classes(find('classes'), areas, names, palette, view.on, filtered);
    stops.classes();
    find('table-matrix').replaceChildren(Tables.matrix(areas, names));
    const panel = find('panel-polygons');
    panel.hidden = !pair.polygons.length;
    panel.classList.toggle('wide', !areas.histogram);
    if (changes.length) {
      find('size-unit').textContent = areas.unit;
      Tables.polygons(find('polygons'), changes, areas.unit, shared.classes, palette, (box, text) => {
        view.jump(box);
        find('stage').scrollIntoView({ block: 'nearest' });
        say(text);
      });
    }
    filtered();
  }

  function plots() {
    const { areas } = pair;
    Plots.matrix(find('plot-matrix'), areas, names, only);
    Plots.flow(find('plot-flow'), areas, names, palette);
    const histogram = find('panel-histogram');
    histogram.hidden = !areas.histogram;
    histogram.classList.toggle('wide', !pair.polygons.length);
    if (areas.histogram) Plots.histogram(find('plot-histogram'), areas, shared.threshold);
  }

  function plotsOfAll() {
    if (shared.perClass) Plots.classes(find('plot-classes'), shared);
    if (shared.reliability) Plots.reliability(find('plot-reliability'), shared.reliability);
    shared.groups.forEach((areas, i) => {
      if (!find(`plot-matrix-${i}`)) return;
      Plots.matrix(find(`plot-matrix-${i}`), areas, names, null);
      Plots.flow(find(`plot-flow-${i}`), areas, names, palette);
      if (areas.histogram) Plots.histogram(find(`plot-histogram-${i}`), areas, shared.threshold);
    });
  }

  // Small maps of prediction and annotation, in the classes that are ticked.
  function sideBySide() {
    const node = find('side-by-side');
    if (!node || !view.pair) return;
    const { before, after, from, to, annotatedFrom, annotatedTo, width, height } = view.pair;
    const panel = (title, canvas) => {
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', `${title}, ${pair.name}`);
      return Tables.element('figure', {}, Tables.element('figcaption', {}, title), canvas);
    };
    const image = (source) => {
      const canvas = Tables.element('canvas', { width: String(width), height: String(height) });
      if (source) canvas.getContext('2d').drawImage(source, 0, 0, width, height);
      return canvas;
    };
    const panels = [
      panel('Before', image(before)),
      panel('After', image(after)),
      panel('Prediction before', view.paint('from', [from, to])),
      panel('Prediction after', view.paint('to', [from, to])),
    ];
    if (annotatedFrom) {
      panels.push(
        panel('Annotation before', view.paint('from', [annotatedFrom, annotatedTo])),
        panel('Annotation after', view.paint('to', [annotatedFrom, annotatedTo])),
        panel('Errors', view.paint('errors')),
      );
    }
    if (view.pair.probability) panels.push(panel('P(changed)', view.paint('probability')));
    node.replaceChildren(...panels);
    const entries = annotatedFrom ? Viewer.ERRORS : [];
    find('side-key').replaceChildren(...entries.map(([name, colour]) => Tables.element('span', {}, Tables.swatch(colour), name)));
  }

  function theme(name) {
    document.documentElement.dataset.theme = name;
    const dark = name === 'dark';
    find('theme-name').textContent = dark ? 'Light' : 'Dark';
    find('theme').setAttribute('aria-label', dark ? 'Switch to light colours' : 'Switch to dark colours');
  }

  function redraw() {
    plotsOfAll();
    if (pair) plots();
  }

  const preferred = window.matchMedia('(prefers-color-scheme: dark)');
  theme(preferred.matches ? 'dark' : 'light');
  preferred.addEventListener('change', () => {
    theme(preferred.matches ? 'dark' : 'light');
    redraw();
  });
  find('theme').addEventListener('click', () => {
    theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
    redraw();
  });
  // On paper plots keep their shape and take the width there is: drawing them anew would not be
  // done in time. Their colours are those of the screen unless it is dark.
  let screenTheme = null;
  const printing = (on) => {
    const { dataset } = document.documentElement;
    if (on) screenTheme = dataset.theme;
    document.body.classList.toggle('printing', on);
    if (!on) Plots.scale(false);
    if (screenTheme === 'dark') {
      theme(on ? 'light' : 'dark');
      redraw();
    }
    if (on) Plots.scale(true);
    view.draw();
  };
  // A phone that is turned: the plots take the new width, and labels may have to turn as well.
  const main = document.querySelector('main');
  let drawnWidth = main.clientWidth;
  let waiting = 0;
  window.addEventListener('resize', () => {
    if (main.clientWidth === drawnWidth || document.body.classList.contains('printing')) return;
    drawnWidth = main.clientWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      Plots.fit();
      redraw();
    }, 150);
  });
  window.addEventListener('beforeprint', () => printing(true));
  window.addEventListener('afterprint', () => printing(false));

  find('swipe').addEventListener('input', (event) => view.setSwipe(Number(event.target.value) / 100));
  find('opacity').addEventListener('input', (event) => {
    view.opacity = Number(event.target.value) / 100;
    view.draw();
  });
  for (const input of document.querySelectorAll('#modes input')) {
    input.addEventListener('change', () => {
      view.mode = input.value;
      legend();
      view.recolour();
    });
  }
  for (const input of document.querySelectorAll('#layers input')) {
    input.addEventListener('change', () => {
      view.layer = input.value;
      view.recolour();
    });
  }
  // Tiles in place of the images, once they are asked for.
  const basemap = shared.basemap ? new Basemaps.Basemap(shared.basemap, () => view.draw()) : null;
  function backdrop(context, { left, top, scale, width, height }) {
    const zoom = (scale * view.pair.width) / pair.size[0];
    const part = [-left, -top, width - left, height - top].map((one) => one / zoom);
    const shownPart = part.map((one, i) => Math.min(Math.max(one, 0), pair.size[i % 2]));
    context.save();
    context.translate(left, top);
    context.scale(zoom, zoom);
    context.imageSmoothingEnabled = true;
    basemap.draw(context, place, shownPart, 1 / zoom);
    context.restore();
  }
  function showBasemap(on) {
    find('basemap').setAttribute('aria-pressed', String(on));
    find('basemap-credit').hidden = !on;
    view.backdrop = on ? backdrop : null;
    view.draw();
  }
  if (basemap) {
    find('basemap').addEventListener('click', () => showBasemap(find('basemap').getAttribute('aria-pressed') !== 'true'));
  }

  // Everything in view again, and no row of the list marked.
  function wholePicture() {
    view.fit();
    view.draw();
    for (const row of document.querySelectorAll('#polygons [aria-current]')) row.removeAttribute('aria-current');
  }

  find('zoom-in').addEventListener('click', () => view.zoomBy(1.5));
  find('zoom-out').addEventListener('click', () => view.zoomBy(1 / 1.5));
  find('zoom-fit').addEventListener('click', wholePicture);
  const bounds = { least: 'least-area', most: 'most-area', probability: 'least-probability' };
  for (const [name, id] of Object.entries(bounds)) {
    find(id).addEventListener('input', () => {
      const value = find(id).valueAsNumber;
      filter[name] = Number.isFinite(value) ? value : NO_FILTER[name];
      filtered();
    });
  }
  find('export').addEventListener('click', () => {
    const made = Changes.geojson(listed, place, shared.classes, pair.areas.unit);
    const name = pair.name.replace(/[^\p{L}\p{N}._-]+/gu, '_');
    Changes.save(JSON.stringify(made), `${name}_changes.geojson`, 'application/geo+json');
    say(`${made.features.length} changes are saved`);
  });
  find('viewer').addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !view.pair) return;
    if (event.target.type === 'number') {
      event.target.value = '';
      event.target.dispatchEvent(new Event('input'));
    } else {
      wholePicture();
      say('The whole picture is shown');
    }
  });
  find('show-all').addEventListener('click', () => {
    view.on = { from: new Set(every()), to: new Set(every()) };
    tables();
  });
  for (const button of document.querySelectorAll('button[data-pair]')) {
    const inFilm = Boolean(button.closest('#film'));
    button.addEventListener('click', () => select(Number(button.dataset.pair), !inFilm));
  }
  if (find('next')) {
    find('next').addEventListener('click', () => select(shown + 1));
    find('previous').addEventListener('click', () => select(shown - 1));
  }
  if (find('index-table')) {
    Tables.sortable(find('index-table'));
    Lists.rove(find('index-table').tHead, 'button');
    const refresh = Lists.rove(find('index-table').tBodies[0], 'button');
    find('filter').addEventListener('input', (event) => {
      const wanted = event.target.value.trim().toLowerCase();
      for (const row of find('index-table').tBodies[0].rows) {
        row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
      }
      refresh();
    });
  }

  plotsOfAll();
  select(0);
})();
