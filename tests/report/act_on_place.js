// What a test does to the page of two scenes with a place on the earth.
const said = {};
const stage = find('stage');
// A pointer at shares of the stage.
const point = (x, y) => {
  const { left, top, width, height } = stage.getBoundingClientRect();
  find('canvas').dispatchEvent(new PointerEvent('pointermove', {
    pointerType: 'mouse', pointerId: 1, bubbles: true, clientX: left + x * width, clientY: top + y * height,
  }));
  return find('readout').textContent;
};
const rows = () => [...find('polygons').tBodies[0].rows].map((row) => !row.hidden);
const stops = () => [...document.querySelectorAll('a[href], button, input, summary, [tabindex]')].filter(
  (node) => node.tabIndex >= 0 && !node.disabled && node.checkVisibility(),
);
// No file is written: the link of the download is only looked at.
const saved = {};
URL.createObjectURL = (blob) => {
  saved.blob = blob;
  return 'blob:test';
};
HTMLAnchorElement.prototype.click = function click() {
  saved.name = this.download;
};
const save = async () => {
  find('export').click();
  return { name: saved.name, type: saved.blob.type, text: await saved.blob.text() };
};

said.facts = [...find('facts').children].map((row) => [...row.children].map((one) => one.textContent));
said.read = point(0.25, 0.75);
said.scale = [find('scale-text').textContent, parseFloat(find('scale-bar').style.width), stage.clientWidth];
said.north = [find('north').style.transform, find('north').getAttribute('aria-label')];
find('zoom-in').click();
said.closer = [find('scale-text').textContent, parseFloat(find('scale-bar').style.width)];
find('zoom-fit').click();

input(find('opacity'), 100);
document.querySelector('#modes input[value=change]').click();
const places = { large: [0.15, 0.15], unsure: [0.65, 0.65], small: [0.85, 0.1] };
const seen = () => Object.fromEntries(Object.entries(places).map(([name, at]) => [name, pixel(...at)]));
const state = () => ({ rows: rows(), seen: seen(), hint: find('hint-polygons').textContent, button: find('export').textContent });
said.all = state();
input(find('least-area'), 2);
said.large = state();
press(find('least-area'), 'Escape');
said.cleared = find('least-area').value === '' && rows().every(Boolean);
input(find('least-probability'), 0.5);
said.sure = state();
input(find('least-probability'), '');
input(find('most-area'), 2);
said.small = state();
input(find('most-area'), '');
document.querySelector('#classes input[data-date=to][data-index="3"]').click();
said.class = state();
said.export = await save();
find('show-all').click();
said.whole = await save();

// Keys: one stop a list.
said.stops = ['classes', 'polygons', 'film'].map((id) => stops().filter((node) => find(id).contains(node)).length);
const [first] = stops().filter((node) => find('polygons').contains(node));
first.focus();
const focused = () => document.activeElement.getAttribute('aria-label');
said.keys = ['ArrowDown', 'ArrowDown', 'ArrowDown', 'Home', 'End', 'ArrowUp'].map((key) => {
  press(document.activeElement, key);
  return focused();
});
document.activeElement.click();
said.flown = stage.classList.contains('zoomed');
press(document.activeElement, 'Escape');
said.escaped = [stage.classList.contains('zoomed'), find('polygons').querySelectorAll('[aria-current]').length, focused()];
const boxes = stops().filter((node) => find('classes').contains(node));
boxes[0].focus();
said.boxes = ['ArrowDown', 'ArrowRight', 'ArrowDown', 'ArrowLeft'].map((key) => {
  press(document.activeElement, key);
  return focused();
});
press(find('canvas'), '+');
said.middle = find('readout').textContent;

find('next').click();
await ready(1);
said.next = { ...(await save()), facts: !find('panel-facts').hidden };
said.requests = performance.getEntriesByType('resource').map((one) => one.name).filter((name) => !/^(data|blob):/.test(name));
return said;
