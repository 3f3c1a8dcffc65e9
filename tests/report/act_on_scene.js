// What a test does to the page of one scene; 'find', 'input' and others are those of runner.js.
const said = {};
said.swipe = await (async () => {
    const swipe = find('swipe');
    input(find('opacity'), 0);
    const start = [pixel(0.3, 0.5), pixel(0.7, 0.5)];
    input(swipe, 20);
    const moved = [pixel(0.1, 0.5), pixel(0.3, 0.5)];
    press(find('canvas'), 'ArrowRight');
    const key = swipe.value;
    for (let i = 0; i < 20; i++) press(find('canvas'), 'ArrowRight');
    return { start, moved, key, later: pixel(0.3, 0.5), text: swipe.getAttribute('aria-valuetext'),
      labelled: swipe.labels.length, divider: find('divider').style.left };
})();
input(find('opacity'), 60);
input(find('swipe'), 50);
said.range = await (async () => {
    const swipe = find('swipe');
    swipe.focus();
    swipe.stepUp();
    swipe.dispatchEvent(new Event('input', { bubbles: true }));
    return { type: swipe.type, focused: document.activeElement === swipe, divider: find('divider').style.left };
})();
find('show-all').click();
input(find('swipe'), 50);
said.boxes = await (async () => {
    const box = (date, index) => document.querySelector(`#classes input[data-date=${date}][data-index="${index}"]`);
    const mode = (name) => document.querySelector(`#modes input[value=${name}]`).click();
    input(find('opacity'), 100);
    const colours = { dates: pixel(0.25, 0.5), bare: pixel(0.75, 0.5) };
    for (const name of ['change', 'from', 'to', 'none']) {
      mode(name);
      colours[name] = pixel(0.25, 0.5);
    }
    mode('transition');
    const stripes = new Set();
    for (let x = 0.1; x < 0.4; x += 0.0125) stripes.add(pixel(x, 0.5).join());
    mode('from');
    box('to', 3).click();
    colours.off = pixel(0.25, 0.5);
    const text = find('filter-state').textContent;
    find('show-all').click();
    colours.on = pixel(0.25, 0.5);
    input(find('opacity'), 40);
    colours.faint = pixel(0.25, 0.5);
    const head = document.querySelector('#classes thead input');
    head.click();
    colours.none = pixel(0.25, 0.5);
    return { colours, stripes: [...stripes].map((one) => one.split(',').map(Number)), text,
      boxes: document.querySelectorAll('#classes tbody input:checked').length };
})();
find('show-all').click();
said.polygons = await (async () => {
    const rows = [...find('polygons').tBodies[0].rows].map((row) => [...row.cells].map((c) => c.textContent));
    const before = picture();
    find('polygons').querySelectorAll('button')[1].click();
    const moved = picture() !== before;
    const zoomed = find('stage').classList.contains('zoomed');
    const said = find('said').textContent;
    const current = [...find('polygons').tBodies[0].rows].map((row) => row.getAttribute('aria-current'));
    // The middle of the stage is the middle of the box.
    const stage = find('stage').getBoundingClientRect();
    find('canvas').dispatchEvent(new PointerEvent('pointermove', {
      pointerType: 'mouse', pointerId: 1, bubbles: true,
      clientX: stage.left + stage.width / 2, clientY: stage.top + stage.height / 2,
    }));
    const read = find('readout').textContent;
    press(find('canvas'), 'ArrowLeft');
    const panned = picture();
    find('zoom-fit').click();
    return { rows, moved, zoomed, said, current, read, panned: panned !== picture(),
      fit: !find('stage').classList.contains('zoomed'), hint: find('hint-polygons').textContent };
})();
find('show-all').click();
said.cell = await (async () => {
    const plot = find('plot-matrix');
    plot.emit('plotly_click', { points: [{ pointIndex: [0, 2] }] });
    return { text: find('filter-state').textContent,
      boxes: [...document.querySelectorAll('#classes tbody input:checked')].map((b) => b.getAttribute('aria-label')) };
})();
find('show-all').click();
said.numbers = await (async () => {
    const values = (rows) => [...rows].map((row) => [...row.querySelectorAll('[data-value]')].map((c) => Number(c.dataset.value)));
    const [body, sums] = find('classes').tBodies;
    return { classes: values(body.rows), sums: values(sums.rows).flat(),
      matrix: values(document.querySelector('#table-matrix tbody').rows),
      total: values([document.querySelector('#table-matrix tfoot tr')])[0].at(-1) };
})();
find('show-all').click();
said.errors = await (async () => {
    const click = (set, value) => document.querySelector(`#${set} input[value=${value}]`).click();
    input(find('opacity'), 100);
    click('modes', 'errors');
    const colours = {
      right: pixel(0.1, 0.5), wrongClass: pixel(0.4, 0.5), missed: pixel(0.6, 0.5),
      false: pixel(0.1, 0.9), leftOut: pixel(0.95, 0.5), unchanged: pixel(0.8, 0.5),
    };
    const key = [...find('key').children].map((one) => one.textContent);
    click('modes', 'to');
    colours.predicted = pixel(0.6, 0.5);
    click('layers', 'annotation');
    colours.annotated = pixel(0.6, 0.5);
    return { colours, key,
      panels: [...document.querySelectorAll('#side-by-side figcaption')].map((one) => one.textContent),
      disabled: [...document.querySelectorAll('#modes input:disabled')].map((one) => one.value) };
})();
said.reliability = (() => {
    const node = find('plot-reliability');
    const [line] = node.data;
    return {
      points: line.x.map((x, i) => [x, line.y[i]]),
      markers: node.querySelectorAll('.points path').length,
      rows: [...document.querySelectorAll('#reliability tbody tr')].map((row) => (
        [...row.cells].map((one) => one.textContent))),
    };
})();
said.narrow = await (async () => {
    const main = document.querySelector('main');
    const widths = () => ['plot-matrix', 'plot-flow', 'plot-histogram'].map((name) => {
      const node = find(name);
      return [node.querySelector('.main-svg').getBoundingClientRect().width, node.clientWidth];
    });
    // Headless, no frames are drawn in which the browser would tell of new widths by itself.
    const settled = async (width) => {
      main.style.width = width;
      window.dispatchEvent(new Event('resize'));
      await new Promise((done) => setTimeout(done, 1500));
      return widths();
    };
    const narrow = await settled('360px');
    return { narrow, wide: await settled('') };
})();
return said;
