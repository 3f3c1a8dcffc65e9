// Whether a page fits a narrow frame, and which of its parts don't.
await wait(500);
const over = [...document.querySelectorAll('main *')].filter((node) => (
  node.getBoundingClientRect().right > innerWidth + 1 && !node.closest('.scroll, .film, .sr, .plot')
));
return {
  window: innerWidth,
  page: document.documentElement.scrollWidth,
  buttons: [...document.querySelectorAll('#polygons button')].map((node) => node.offsetHeight),
  over: over.map((node) => `${node.tagName} ${node.id} ${node.className}`),
};
