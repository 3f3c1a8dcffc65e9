// Runs actions on the page and tells the window it is in, its own or a frame's, what they return.
window.addEventListener('load', async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const until = async (test) => {
    for (let i = 0; i < 200 && !test(); i++) await wait(25);
    if (!test()) throw new Error(`never came true: ${test}`);
  };
  const find = (id) => document.getElementById(id);
  const ready = (n) => until(() => document.documentElement.dataset.ready === String(n));
  // Red, green and blue of the canvas at shares of its width and height.
  const pixel = (x, y) => {
    const canvas = find('canvas');
    const place = [Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1];
    return [...canvas.getContext('2d').getImageData(...place).data].slice(0, 3);
  };
  const picture = () => find('canvas').toDataURL();
  const press = (node, key) => node.dispatchEvent(
    new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }),
  );
  const input = (node, value) => {
    node.value = String(value);
    node.dispatchEvent(new Event('input', { bubbles: true }));
  };
  let result;
  try {
    await ready(0);
    result = await (async () => { ACTIONS })();
  } catch (error) {
    result = { failed: String(error) };
  }
  const text = JSON.stringify({ result, errors: window.testErrors });
  window.top.postMessage({ testResult: text }, '*');
});
