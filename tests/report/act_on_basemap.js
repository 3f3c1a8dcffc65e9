// Switches the basemap on and off. Its tiles may not be read, but where they are drawn is seen.
const said = {};
const drawn = {};
const draw = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function drawImage(image, ...at) {
  if (image.src && image.src.startsWith('http')) {
    const ratio = window.devicePixelRatio || 1;
    const { a, b, e, f } = this.getTransform();
    // Pixels of the scene, which is shown whole: its left upper corner and the next tile's.
    const scale = find('stage').clientWidth / 100;
    const place = (x, y) => [x / ratio / scale, y / ratio / scale];
    drawn[new URL(image.src).pathname] = [place(e, f), place(e + 256 * a, f + 256 * b)];
  }
  return draw.call(this, image, ...at);
};
const requests = () => performance.getEntriesByType('resource').map((one) => one.name).filter((name) => /^http/.test(name));
await wait(300);
said.before = requests();
said.images = find('basemap').getAttribute('aria-pressed');
find('basemap').click();
await until(() => Object.keys(drawn).length >= 1);
await wait(1500);
said.credit = find('basemap-credit').hidden ? null : find('basemap-credit').textContent;
said.drawn = { ...drawn };
find('basemap').click();
said.off = find('basemap').getAttribute('aria-pressed');
return said;
