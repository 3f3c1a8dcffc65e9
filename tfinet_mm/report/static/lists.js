'use strict';
// Lists of controls that are one tab stop each; arrow keys move within them.
const Lists = (() => {
  // Controls of a row share a table's row or a list's item. Returns a function to call when the
  // content has changed.
  function rove(container, selector) {
    const items = () => [...container.querySelectorAll(selector)].filter(
      (node) => !node.disabled && !node.closest('[hidden]'),
    );
    const stop = (node) => {
      for (const one of container.querySelectorAll(selector)) one.tabIndex = one === node ? 0 : -1;
    };
    const refresh = () => {
      const all = items();
      stop(all.find((node) => node.tabIndex === 0 && node.hasAttribute('tabindex')) || all[0]);
    };
    const rows = () => {
      const found = new Map();
      for (const node of items()) {
        const row = node.closest('tr, li');
        found.set(row, [...(found.get(row) || []), node]);
      }
      return [...found.values()];
    };
    const target = (key, node) => {
      const all = rows();
      const y = all.findIndex((row) => row.includes(node));
      if (y < 0) return null;
      const x = all[y].indexOf(node);
      const wide = all[y].length > 1;
      const row = (at) => {
        const line = all[Math.min(Math.max(at, 0), all.length - 1)];
        return line[Math.min(x, line.length - 1)];
      };
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
      if (key in steps) return row(y + steps[key]);
      if (key === 'Home') return row(0);
      if (key === 'End') return row(all.length - 1);
      const side = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!side) return null;
      return wide ? all[y][x + side] || node : row(y + side);
    };
    container.addEventListener('focusin', (event) => {
      const node = event.target.closest(selector);
      if (node) stop(node);
    });
    container.addEventListener('keydown', (event) => {
      const node = event.target.closest(selector);
      if (!node || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      const next = target(event.key, node);
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
    refresh();
    return refresh;
  }

  return { rove };
})();
