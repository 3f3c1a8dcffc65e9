// What a test does to the page of three pairs.
const said = {};
const name = () => find('pair-name').textContent;
said.first = [name(), picture()];
said.images = document.querySelectorAll('img[src=x]').length;
said.class = find('classes').tBodies[0].rows[1].cells[0].textContent;
said.tick = document.querySelectorAll('#plot-matrix .ytick text')[1].textContent;
find('next').click();
await ready(1);
said.second = [name(), picture()];
const link = document.querySelector('#index-table button.link');
link.click();
await ready(link.dataset.pair);
said.third = [name(), document.activeElement.id];

const look = () => ({
  theme: document.documentElement.dataset.theme,
  ink: document.querySelector('#plot-histogram .xtick text').style.fill,
  back: getComputedStyle(document.body).backgroundColor,
});
said.dark = look();
find('theme').click();
await wait(300);
said.light = look();

const rows = () => [...find('index-table').tBodies[0].rows];
const order = () => rows().map((row) => row.cells[0].textContent.trim());
const share = document.querySelectorAll('#index-table thead button')[1];
share.click();
said.falling = order();
share.click();
said.rising = order();
input(find('filter'), 'ROCK');
said.kept = rows().filter((row) => !row.hidden).map((row) => row.cells[0].textContent.trim());
return said;
