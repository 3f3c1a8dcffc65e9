'use strict';
// Heat map, flow, histogram and bars in the colours of the page.
const Plots = (() => {
  // One hue from light to dark, or dark to light: read alike with all kinds of colour vision.
  const SCALES = {
    light: ['#e3eefa', '#9cc6ee', '#4a93d6', '#0a5fb4', '#052f5c'],
    dark: ['#1d3045', '#1f4f82', '#2f7cc4', '#6cb6ff', '#d9ecff'],
  };
  const OPTIONS = { displayModeBar: false };

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rgb = (c, alpha = 1) => `rgba(${c[0]},${c[1]},${c[2]},${alpha})`;
  // Plotly reads names as HTML.
  const text = (name) => name.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

  function layout(extra = {}) {
    const axis = {
      gridcolor: css('--line'), linecolor: css('--line'), zerolinecolor: css('--line'),
      automargin: true, fixedrange: true,
    };
    return {
      paper_bgcolor: 'rgba(0,0,0,0)',
      plot_bgcolor: 'rgba(0,0,0,0)',
      font: { family: css('--font'), size: 12, color: css('--ink') },
      margin: { l: 8, r: 8, t: 8, b: 8 },
      hoverlabel: { font: { family: css('--font') } },
      dragmode: false,
      showlegend: false,
      ...extra,
      xaxis: { ...axis, ...(extra.xaxis || {}) },
      yaxis: { ...axis, ...(extra.yaxis || {}) },
    };
  }

  function empty(node, message) {
    Plotly.purge(node);
    const note = document.createElement('p');
    note.className = 'empty';
    note.textContent = message;
    node.replaceChildren(note);
  }

  function draw(node, traces, options) {
    if (node.querySelector('.empty')) node.replaceChildren();
    return Plotly.react(node, traces, options, OPTIONS);
  }

  function short(value, unit, narrow) {
    if (unit === 'px' && value < (narrow ? 1000 : 10000)) return Tables.area(value, unit);
    if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)}M`;
    if (value >= 1000 && (narrow || value >= 10000)) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)}k`;
    return value >= 100 ? value.toFixed(0) : Tables.area(value, unit);
  }

  // Black or white, whichever stands out more on a place 0..1 of a scale.
  function inkOn(scale, share) {
    const place = Math.min(share, 0.9999) * (scale.length - 1);
    const low = Math.floor(place);
    const channel = (i) => {
      const [a, b] = [scale[low], scale[low + 1]].map((c) => parseInt(c.slice(1 + 2 * i, 3 + 2 * i), 16) / 255);
      const value = a + (b - a) * (place - low);
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    };
    const light = 0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2);
    return light > 0.179 ? '#000000' : '#ffffff';
  }

  function matrix(node, areas, names, onCell) {
    if (!areas.changed) return empty(node, 'Nothing changed.');
    const scale = SCALES[css('--scheme')];
    const narrow = node.clientWidth < 520;
    const most = Math.max(...areas.matrix.flat());
    // Small transitions would all look alike on a linear scale.
    const z = areas.matrix.map((row) => row.map((v) => (v > 0 ? Math.sqrt(v / most) : null)));
    const labels = names.map(text);
    node.style.height = `${Math.max(260, 90 + 40 * names.length)}px`;
    const trace = {
      type: 'heatmap', z, x: labels, y: labels, xgap: 2, ygap: 2, showscale: false,
      colorscale: scale.map((colour, i) => [i / (scale.length - 1), colour]),
      zmin: 0, zmax: 1,
      customdata: areas.matrix.map((row) => row.map((v) => (
        `${Tables.area(v, areas.unit)} ${areas.unit}, ${Tables.percent((100 * v) / areas.changed)} of the change`
      ))),
      hovertemplate: '%{y} → %{x}<br>%{customdata}<extra></extra>',
      hoverongaps: false,
    };
    const numbers = names.length > 12 ? [] : z.flatMap((row, y) => row.flatMap((share, x) => (share === null ? [] : [{
      x, y, text: text(short(areas.matrix[y][x], areas.unit, narrow)), showarrow: false,
      font: { size: narrow ? 10 : 12, color: inkOn(scale, share) },
    }])));
    const options = layout({
      annotations: numbers,
      xaxis: { side: 'top', showgrid: false, tickvals: labels, ticktext: narrow ? labels : labels.map((label) => label.replace(/ /g, '<br>')), ticks: '', ...(narrow ? {} : { title: { text: 'after', standoff: 8 } }), tickangle: narrow ? -90 : 0 },
      yaxis: { autorange: 'reversed', showgrid: false, ticks: '', ...(narrow ? {} : { title: { text: 'before', standoff: 8 } }) },
    });
    const done = draw(node, [trace], options);
    if (onCell) {
      node.removeAllListeners('plotly_click');
      node.on('plotly_click', (event) => {
        const [row, column] = event.points[0].pointIndex;
        onCell(row + 1, column + 1);
      });
    }
    return done;
  }

  function flow(node, areas, names, palette) {
    const links = areas.matrix
      .flatMap((row, from) => row.map((value, to) => ({ from, to, value })))
      .filter((link) => link.value > 0);
    if (!links.length) return empty(node, 'Nothing changed.');
    // It moves into place, which takes longer than there is.
    if (document.body.classList.contains('printing')) return null;
    const used = [...new Set(links.map((l) => l.from))].sort((a, b) => a - b);
    const ends = [...new Set(links.map((l) => l.to))].sort((a, b) => a - b);
    const sums = (key, i) => links.filter((l) => l[key] === i).reduce((sum, l) => sum + l.value, 0);
    node.style.height = `${Math.max(260, 90 + 40 * Math.max(used.length, ends.length))}px`;
    const trace = {
      type: 'sankey',
      arrangement: 'fixed',
      valueformat: ',.2~f',
      valuesuffix: ` ${areas.unit}`,
      textfont: { color: css('--ink'), size: 12 },
      node: {
        label: [...used, ...ends].map((i) => text(names[i])),
        color: [...used, ...ends].map((i) => rgb(palette[i + 1])),
        customdata: [...used.map((i) => sums('from', i)), ...ends.map((i) => sums('to', i))],
        line: { color: css('--muted'), width: 1 },
        pad: 14,
        thickness: 16,
        hovertemplate: '%{label}<br>%{value}<extra></extra>',
      },
      link: {
        source: links.map((l) => used.indexOf(l.from)),
        target: links.map((l) => used.length + ends.indexOf(l.to)),
        value: links.map((l) => l.value),
        color: links.map((l) => rgb(palette[l.from + 1], css('--scheme') === 'dark' ? 0.6 : 0.42)),
        hovertemplate: '%{source.label} → %{target.label}<br>%{value}<extra></extra>',
      },
    };
    return draw(node, [trace], layout({ margin: { l: 8, r: 8, t: 12, b: 12 } }));
  }

  function histogram(node, areas, threshold) {
    const bins = areas.histogram.length;
    const middles = areas.histogram.map((_, i) => (i + 0.5) / bins);
    const ranges = areas.histogram.map((_, i) => `${(i / bins).toFixed(2)} to ${((i + 1) / bins).toFixed(2)}`);
    const split = areas.histogramChanged;
    const top = Math.log10(Math.max(...areas.histogram, 1)) + 0.2;
    const bar = (name, y, color) => ({
      type: 'bar', name, x: middles, y, customdata: ranges, marker: { color },
      hovertemplate: `P %{customdata}<br>%{y:,} pixels<extra>${name}</extra>`,
    });
    const traces = split
      ? [
          bar('annotated unchanged', areas.histogram.map((v, i) => v - split[i]), css('--bar-quiet')),
          bar('annotated changed', split, css('--bar')),
        ]
      : [bar('', areas.histogram, css('--bar'))];
    const line = { type: 'line', x0: threshold, x1: threshold, y0: 0, y1: 1, yref: 'paper', line: { color: css('--ink'), dash: 'dot', width: 1.5 } };
    const label = { x: threshold, y: 1, yref: 'paper', text: `changed from ${threshold}`, showarrow: false, xanchor: threshold > 0.7 ? 'right' : 'left', xshift: threshold > 0.7 ? -4 : 4, yanchor: 'bottom', font: { size: 11, color: css('--muted') } };
    return draw(node, traces, layout({
      barmode: 'group',
      bargap: 0.08,
      bargroupgap: 0,
      showlegend: Boolean(split),
      legend: { orientation: 'h', x: 0, y: -0.22, yanchor: 'top' },
      margin: { l: 8, r: 8, t: 22, b: 8 },
      xaxis: { range: [-0.005, 1.005], dtick: 0.2, title: { text: 'P(changed)', standoff: 6 }, tickformat: '.1f', showgrid: false },
      yaxis: { type: 'log', range: [-0.3, top], title: { text: 'pixels', standoff: 6 }, dtick: 1, exponentformat: 'SI' },
      shapes: threshold === null ? [] : [line],
      annotations: threshold === null ? [] : [label],
    }));
  }

  function classes(node, shared) {
    const { perClass, present, classes: names } = shared;
    const labels = names.map(text);
    node.style.height = `${90 + 46 * names.length}px`;
    const bar = (date, name, color) => ({
      type: 'bar', orientation: 'h', name, y: labels,
      x: names.map((one, i) => (present[date][i] ? perClass[date][one].IoU : null)),
      text: names.map((one, i) => (present[date][i] ? perClass[date][one].IoU.toFixed(1) : 'none')),
      textposition: 'outside', cliponaxis: false,
      marker: { color },
      hovertemplate: `%{y}, ${name}: %{x:.2f}<extra></extra>`,
    });
    return draw(node, [bar('from', 'before', css('--bar')), bar('to', 'after', css('--bar-quiet'))], layout({
      barmode: 'group',
      bargap: 0.3,
      showlegend: true,
      legend: { orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom', traceorder: 'normal' },
      margin: { l: 8, r: 30, t: 34, b: 8 },
      xaxis: { range: [0, 100], title: { text: 'IoU, %', standoff: 6 } },
      yaxis: { autorange: 'reversed', showgrid: false },
    }));
  }

  function reliability(node, bins) {
    const filled = bins.filter((bin) => bin.pixels);
    const range = [-0.02, 1.02];
    const line = {
      type: 'scatter', mode: 'lines+markers',
      x: filled.map((bin) => bin.predicted), y: filled.map((bin) => bin.changed),
      customdata: filled.map((bin) => bin.pixels),
      line: { color: css('--bar') }, cliponaxis: false,
      hovertemplate: 'mean P %{x:.2f}<br>%{y:.1%} changed<br>%{customdata:,} pixels<extra></extra>',
    };
    const equal = { type: 'line', x0: 0, y0: 0, x1: 1, y1: 1, line: { color: css('--muted'), dash: 'dot', width: 1.5 } };
    node.style.height = '380px';
    return draw(node, [line], layout({
      shapes: [equal],
      xaxis: { range, dtick: 0.2, tickformat: '.1f', title: { text: 'mean P(changed)', standoff: 6 } },
      yaxis: { range, dtick: 0.2, tickformat: '.0%', title: { text: 'changed', standoff: 6 } },
    }));
  }

  // Let all plots be as wide as their place, as pictures are, or as they were.
  function scale(on) {
    for (const box of document.querySelectorAll('.svg-container')) {
      const svgs = [...box.querySelectorAll('.main-svg')];
      const [width, height] = ['width', 'height'].map((name) => svgs[0].getAttribute(name));
      box.style.width = on ? '100%' : `${width}px`;
      box.style.height = on ? 'auto' : `${height}px`;
      box.style.aspectRatio = on ? `${width} / ${height}` : '';
      for (const svg of svgs) {
        if (on) svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
        else svg.removeAttribute('viewBox');
        svg.style.width = on ? '100%' : '';
        svg.style.height = on ? '100%' : '';
      }
    }
  }

  // Let all plots take the width that their places have now.
  function fit() {
    for (const node of document.querySelectorAll('.js-plotly-plot')) {
      if (node.offsetParent) Plotly.Plots.resize(node);
    }
  }

  return { matrix, flow, histogram, classes, reliability, scale, fit };
})();
