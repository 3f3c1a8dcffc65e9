'use strict';
// Tables of the pair in view, and sorting of the index. Names only ever go in as text.
const Tables = (() => {
  const format = (value, low, high) => value.toLocaleString('en', { minimumFractionDigits: low, maximumFractionDigits: high });

  function area(value, unit) {
    if (unit === 'px') return format(value, 0, 0);
    if (value > 0 && value < 0.005) return '<0.01';
    return Math.abs(value) >= 1000 ? format(value, 1, 1) : format(value, 2, 2);
  }

  function percent(value) {
    // As in utils/numbers.py.
    let text = Number(value.toFixed(2)) >= 1 ? value.toFixed(1) : value.toFixed(2);
    if (value === 0) text = '0';
    else if (value > 0 && value < 0.01) text = '<0.01';
    return `${text}\u202f%`;
  }

  function element(tag, options = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (name === 'class') node.className = value;
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  function swatch(colour) {
    const node = element('span', { class: 'swatch' });
    node.style.background = `rgb(${colour.join(',')})`;
    return node;
  }

  const named = (text, ...colours) => element('span', { class: 'named' }, ...colours.map(swatch), element('span', {}, text));

  const row = (cells) => element('tr', {}, ...cells);
  const head = (text, scope, numeric) => element('th', numeric ? { scope, class: 'num' } : { scope }, text);
  const number = (value, unit) => element('td', { class: 'num', 'data-value': String(value) }, area(value, unit));

  function matrix(areas, names) {
    const table = element('table', { class: 'matrix' });
    const sums = names.map((_, i) => areas.matrix.reduce((sum, one) => sum + one[i], 0));
    const totals = areas.matrix.map((one) => one.reduce((sum, v) => sum + v, 0));
    table.append(
      element('thead', {}, row([head('from, to', 'col'), ...names.map((n) => head(n, 'col', true)), head('total', 'col', true)])),
      element('tbody', {}, ...names.map((name, i) => row([
        head(name, 'row'), ...areas.matrix[i].map((v) => number(v, areas.unit)), number(totals[i], areas.unit),
      ]))),
      element('tfoot', {}, row([head('total', 'row'), ...sums.map((v) => number(v, areas.unit)), number(areas.changed, areas.unit)])),
    );
    return table;
  }

  // Class table of the viewer: areas, and a box a class and date to show or hide it.
  function classes(table, areas, names, palette, on, onChange) {
    const dates = [['from', 'before'], ['to', 'after']];
    const sums = {
      from: areas.matrix.map((one) => one.reduce((sum, v) => sum + v, 0)),
      to: names.map((_, i) => areas.matrix.reduce((sum, one) => sum + one[i], 0)),
    };
    const boxes = { from: [], to: [] };
    const heads = {};
    const refresh = () => {
      for (const [date] of dates) {
        boxes[date].forEach((box, i) => { box.checked = on[date].has(i + 1); });
        const count = on[date].size;
        heads[date].checked = count === names.length;
        heads[date].indeterminate = count > 0 && count < names.length;
      }
    };
    const box = (label, change) => {
      const input = element('input', { type: 'checkbox', 'aria-label': label });
      input.addEventListener('change', () => {
        change(input.checked);
        refresh();
        onChange();
      });
      return input;
    };
    const headCells = dates.map(([date, what]) => {
      heads[date] = box(`all classes ${what}`, (checked) => {
        names.forEach((_, i) => (checked ? on[date].add(i + 1) : on[date].delete(i + 1)));
      });
      return element('th', { scope: 'col', class: 'num' }, element('label', {}, heads[date], what));
    });
    const body = names.map((name, i) => {
      const cells = dates.map(([date, what]) => {
        const input = box(`${name} ${what}`, (checked) => (checked ? on[date].add(i + 1) : on[date].delete(i + 1)));
        input.dataset.date = date;
        input.dataset.index = String(i + 1);
        boxes[date].push(input);
        return element('td', { class: 'num', 'data-value': String(sums[date][i]) }, element('label', {}, input, area(sums[date][i], areas.unit)));
      });
      const net = sums.to[i] - sums.from[i];
      const sign = net > 0 ? '+' : net < 0 ? '−' : '';
      return row([
        element('th', { scope: 'row' }, named(name, palette[i + 1])),
        ...cells,
        element('td', { class: 'num' }, `${sign}${area(Math.abs(net), areas.unit)}`),
      ]);
    });
    const total = (name, value) => row([
      head(name, 'row'),
      element('td', { class: 'num', colspan: '2', 'data-value': String(value) }, area(value, areas.unit)),
      element('td'),
    ]);
    table.replaceChildren(
      element('thead', {}, row([head('Class', 'col'), ...headCells, head('net', 'col', true)])),
      element('tbody', {}, ...body),
      element('tbody', { class: 'sums' },
        total('Changed', areas.changed),
        total('Unchanged', areas.unchanged),
        ...(areas.nodata ? [total('Not seen', areas.nodata)] : []),
        total('Total', areas.total)),
    );
    refresh();
    return refresh;
  }

  function polygons(table, list, unit, names, palette, onJump) {
    const body = list.map(({ from, to, area: size, probability, box }, i) => {
      const label = `${names[from]} → ${names[to]}`;
      const show = element('button', { type: 'button', class: 'link', 'aria-label': `Show change ${i + 1}, ${label}` }, 'Show');
      const line = row([
        element('td', { class: 'num' }, String(i + 1)),
        element('td', {}, named(label, palette[from], palette[to])),
        element('td', { class: 'num', 'data-value': String(size) }, area(size, unit)),
        element('td', { class: 'num' }, probability === null ? '–' : probability.toFixed(2)),
        element('td', {}, show),
      ]);
      show.addEventListener('click', () => {
        for (const other of table.querySelectorAll('[aria-current]')) other.removeAttribute('aria-current');
        line.setAttribute('aria-current', 'true');
        onJump(box, `Change ${i + 1}: ${label}, ${area(size, unit)} ${unit}`);
      });
      return line;
    });
    table.replaceChildren(
      element('thead', {}, row([
        head('#', 'col', true), head('Transition', 'col'), head(unit, 'col', true),
        head('mean P', 'col', true), element('th', { scope: 'col' }, element('span', { class: 'sr' }, 'Show')),
      ])),
      element('tbody', {}, ...body),
    );
  }

  function facts(list, pairs) {
    list.replaceChildren(...pairs.map(([name, text]) => (
      element('div', {}, element('dt', {}, name), element('dd', {}, text)))));
  }

  function sortable(table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((cell, column) => {
      cell.querySelector('button').addEventListener('click', () => {
        const numeric = cell.classList.contains('num');
        const now = cell.getAttribute('aria-sort');
        // Numbers start with the largest, names with A.
        const up = now ? now === 'descending' : !numeric;
        for (const other of heads) other.removeAttribute('aria-sort');
        cell.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        const value = (line) => line.cells[column].dataset.value;
        const rows = [...body.rows].sort((a, b) => {
          const order = numeric ? value(a) - value(b) : value(a).localeCompare(value(b), 'en', { numeric: true });
          return up ? order : -order;
        });
        body.append(...rows);
      });
    });
  }

  return { area, percent, element, swatch, matrix, classes, polygons, facts, sortable };
})();
