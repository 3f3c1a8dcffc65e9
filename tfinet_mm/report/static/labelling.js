// The page on which points are labelled. Labels are kept by the browser and saved as CSV.
(() => {
  const FIELDS = ['sample', 'id', 'ref_from', 'ref_to', 'ref_changed', 'labelled_by', 'note'];

  const cell = (value) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };

  const toCsv = (rows) => [FIELDS, ...rows.map((row) => FIELDS.map((name) => row[name]))]
    .map((row) => `${row.map(cell).join(',')}\r\n`)
    .join('');

  // Rows as objects by the names of the first line.
  const fromCsv = (text) => {
    const rows = [[]];
    const found = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/g;
    const whole = text.replace(/^\ufeff/, '');
    while (found.lastIndex < whole.length) {
      const [, quoted, plain, end] = found.exec(whole);
      rows[rows.length - 1].push(quoted === undefined ? plain : quoted.replace(/""/g, '"'));
      if (end !== ',') rows.push([]);
    }
    const [names, ...lines] = rows.filter((row) => row.length);
    return lines.map((row) => Object.fromEntries(names.map((name, i) => [name, row[i] || ''])));
  };

  globalThis.labelling = { toCsv, fromCsv };
  if (typeof document === 'undefined') return;

  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find('data').textContent);
  const STORE = `tfinet-mm assessment ${data.sample}`;
  const DATES = { before: 'ref_from', after: 'ref_to' };
  const sets = document.querySelectorAll('fieldset[data-date]');
  let labels = {};
  let place = 0;
  let active = 'before';

  try {
    labels = JSON.parse(localStorage.getItem(STORE)) || {};
  } catch {
    // A browser may keep nothing of files; labels are saved by the button then.
  }

  const point = () => data.points[place];
  const label = () => labels[point().id] || {};
  const done = (one) => Boolean(one && one.ref_from && one.ref_to);

  const keep = () => {
    try {
      localStorage.setItem(STORE, JSON.stringify(labels));
    } catch {
      // As above.
    }
  };

  const show = () => {
    const one = label();
    for (const date of Object.keys(DATES)) {
      find(date).src = point()[date];
      for (const radio of document.querySelectorAll(`input[name="${date}"]`)) {
        radio.checked = radio.value === one[DATES[date]];
      }
    }
    find('changed').checked = one.ref_changed === '1';
    find('changed').disabled = Boolean(done(one) && one.ref_from !== one.ref_to);
    find('note').value = one.note || '';
    find('number').textContent = `${point().id} of ${data.points.length}`;
    const number = data.points.filter((each) => done(labels[each.id])).length;
    find('progress').textContent = `${number} of ${data.points.length} labelled`;
    for (const set of sets) set.classList.toggle('active', set.dataset.date === active);
    document.documentElement.dataset.ready = String(place);
  };

  const set = (values) => {
    const by = find('labelled-by').value.trim();
    const one = { ...label(), ...values, ...(by ? { labelled_by: by } : {}) };
    if (one.ref_from !== one.ref_to) one.ref_changed = '';
    labels[point().id] = one;
    keep();
    show();
  };

  const go = (to) => {
    place = Math.min(Math.max(to, 0), data.points.length - 1);
    active = 'before';
    show();
  };

  const nextOpen = () => {
    const order = data.points.map((_, i) => (place + 1 + i) % data.points.length);
    const open = order.find((i) => !done(labels[data.points[i].id]));
    if (open !== undefined) go(open);
  };

  const choose = (date, name) => {
    set({ [DATES[date]]: name });
    active = date === 'before' ? 'after' : 'before';
    show();
  };

  const clear = () => {
    delete labels[point().id];
    active = 'before';
    keep();
    show();
  };

  const save = () => {
    const rows = data.points.filter((one) => labels[one.id])
      .map((one) => ({ sample: data.sample, id: one.id, ...labels[one.id] }));
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([toCsv(rows)], { type: 'text/csv' }));
    link.download = 'labels.csv';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  const load = async (file) => {
    const rows = fromCsv(await file.text());
    const numbers = new Set(data.points.map((one) => String(one.id)));
    if (!rows.length || !rows.every((row) => row.sample === data.sample && numbers.has(row.id))) {
      find('progress').textContent = `${file.name} has no labels of this sample`;
      return;
    }
    for (const { sample, id, ...one } of rows) labels[id] = one;
    keep();
    show();
  };

  const KEYS = {
    ArrowLeft: () => go(place - 1),
    ArrowRight: () => go(place + 1),
    n: nextOpen,
    x: clear,
    c: () => {
      const one = label();
      if (done(one) && one.ref_from === one.ref_to) {
        set({ ref_changed: one.ref_changed === '1' ? '' : '1' });
      }
    },
    m: () => document.body.classList.toggle('plain'),
    z: () => document.body.classList.toggle('large'),
    ' ': () => {
      if (label().ref_from) choose('after', label().ref_from);
    },
  };

  document.addEventListener('keydown', (event) => {
    const typing = event.target.tagName === 'INPUT'
      && !['radio', 'checkbox'].includes(event.target.type);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.tagName === 'BUTTON' && event.key === ' ') return;
    const name = data.classes[Number(event.key) - 1];
    const act = KEYS[event.key];
    if (/^[1-9]$/.test(event.key) && name) choose(active, name);
    else if (act) act();
    else return;
    event.preventDefault();
  });
  find('form').addEventListener('submit', (event) => event.preventDefault());
  for (const date of Object.keys(DATES)) {
    for (const radio of document.querySelectorAll(`input[name="${date}"]`)) {
      radio.addEventListener('change', () => choose(date, radio.value));
    }
  }
  find('changed').addEventListener('change', () => set({
    ref_changed: find('changed').checked ? '1' : '',
  }));
  find('note').addEventListener('change', () => set({ note: find('note').value }));
  find('previous').addEventListener('click', KEYS.ArrowLeft);
  find('next').addEventListener('click', KEYS.ArrowRight);
  find('open').addEventListener('click', nextOpen);
  find('clear').addEventListener('click', clear);
  find('save').addEventListener('click', save);
  find('load').addEventListener('change', () => {
    if (find('load').files.length) load(find('load').files[0]);
  });
  for (const pixel of document.querySelectorAll('.pixel')) {
    pixel.style.width = `${100 / data.chip}%`;
    pixel.style.height = `${100 / data.chip}%`;
  }
  show();
})();
