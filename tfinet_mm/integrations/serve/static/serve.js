'use strict';

const find = (id) => document.getElementById(id);
const DATES = ['before', 'after'];
const ACTIVE = ['waiting', 'running'];
const WORDS = {
  waiting: 'Waiting', running: 'Predicting', done: 'Done', failed: 'Failed', cancelled: 'Cancelled',
};
const MOST = Number(document.body.dataset.uploadBytes);
const FAST = 1000;
const SLOW = 10000;
const cards = new Map();
const states = new Map();
// Files of jobs that this page has sent, for sending them again with other options.
const sent = new Map();
const chosen = { before: null, after: null };
let timer = null;
let upload = null;

// Text alone is ever put into the page, so names of files can't become markup.
function element(tag, attributes = {}, ...content) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...content);
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function size(bytes) {
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1024))} kB`;
  return `${(bytes / 1048576).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

function say(text) {
  setText(find('said'), text);
}

function fail(text) {
  find('form-error').hidden = !text;
  setText(find('form-error'), text || '');
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { credentials: 'same-origin', ...options });
  if (answer.status === 401) window.location.assign('/login');
  return answer;
}

// The form.

function choose(date, file) {
  chosen[date] = file;
  const drop = document.querySelector(`.drop[data-date="${date}"]`);
  drop.classList.toggle('full', Boolean(file));
  setText(
    drop.querySelector('.chosen'),
    file ? `${file.name}, ${size(file.size)}` : 'Choose or drop an image',
  );
}

function dropped(files, date) {
  const sorted = [...files].sort((one, other) => one.name.localeCompare(other.name));
  if (sorted.length > 2) {
    fail(`${sorted.length} files were dropped; drop two, before and after`);
    return;
  }
  fail('');
  if (sorted.length === 2) DATES.forEach((each, index) => choose(each, sorted[index]));
  else if (sorted.length === 1) choose(date || (chosen.before ? 'after' : 'before'), sorted[0]);
  say(DATES.filter((each) => chosen[each]).map((each) => `${each}: ${chosen[each].name}`).join(', '));
}

for (const date of DATES) {
  const drop = document.querySelector(`.drop[data-date="${date}"]`);
  const input = find(date);
  input.multiple = date === 'before';
  input.addEventListener('change', () => {
    if (input.files.length) dropped(input.files, date);
    input.value = '';
  });
  for (const kind of ['dragenter', 'dragover']) {
    drop.addEventListener(kind, () => drop.classList.add('over'));
  }
  for (const kind of ['dragleave', 'drop']) {
    drop.addEventListener(kind, () => drop.classList.remove('over'));
  }
}

document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  const drop = event.target instanceof Element ? event.target.closest('.drop') : null;
  if (event.dataTransfer.files.length) dropped(event.dataTransfer.files, drop?.dataset.date);
});

find('swap').addEventListener('click', () => {
  const { before, after } = chosen;
  choose('before', after);
  choose('after', before);
});

function uploading(on) {
  find('send').disabled = on;
  find('upload').hidden = !on;
  find('stop-upload').hidden = !on;
  find('upload').value = 0;
}

find('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const missing = DATES.filter((date) => !chosen[date]);
  if (missing.length) {
    fail(`Choose an image for ${missing.join(' and for ')}.`);
    find(missing[0]).focus();
    return;
  }
  const large = DATES.map((date) => chosen[date]).find((file) => file.size > MOST);
  if (large) {
    fail(`${large.name} has ${size(large.size)}; this server takes ${size(MOST)} (--max-megabytes).`);
    return;
  }
  fail('');
  const form = new FormData();
  // Fields first, so that the server knows them when the files come.
  for (const input of document.querySelectorAll('.options input')) {
    const given = input.type === 'checkbox' ? input.checked : input.value.trim();
    if (given) form.append(input.name, input.value.trim());
  }
  for (const date of DATES) form.append(date, chosen[date], chosen[date].name);
  send(form);
});

function send(form) {
  upload = new XMLHttpRequest();
  upload.open('POST', '/api/jobs');
  upload.responseType = 'json';
  upload.upload.addEventListener('progress', (event) => {
    if (event.lengthComputable) find('upload').value = event.loaded / event.total;
  });
  upload.addEventListener('load', () => {
    uploading(false);
    if (upload.status === 201) {
      say('Uploaded.');
      sent.set(upload.response.id, { ...chosen });
      DATES.forEach((date) => choose(date, null));
      find('jobs').focus({ preventScroll: true });
      refresh();
    } else if (upload.status === 401) {
      window.location.assign('/login');
    } else {
      fail(upload.response?.detail || `The server answered with status ${upload.status}.`);
    }
  });
  upload.addEventListener('error', () => {
    uploading(false);
    fail('The upload was cut off. Is the server running? Send it again.');
  });
  upload.addEventListener('abort', () => {
    uploading(false);
    say('The upload was stopped.');
  });
  uploading(true);
  say('Uploading.');
  upload.send(form);
}

find('stop-upload').addEventListener('click', () => upload?.abort());

// The jobs.

function newCard(job) {
  const parts = {
    title: element('h3'),
    state: element('p', { class: 'state' }),
    bar: element('progress', { 'aria-label': 'Progress' }),
    error: element('p', { class: 'error' }),
    warnings: element('ul', { class: 'warnings', 'aria-label': 'Warnings' }),
    report: element('a', { class: 'button primary', target: '_blank', rel: 'noopener' }, 'Open the report'),
    zip: element('a', { class: 'button', download: '' }, 'Download all'),
    cancel: element('button', { type: 'button', class: 'button' }, 'Cancel'),
    remove: element('button', { type: 'button', class: 'button' }, 'Remove'),
    again: element('button', { type: 'button', class: 'button again' }, 'Send again'),
    files: element('ul', { class: 'files' }),
    filesTitle: element('summary'),
    log: element('pre', { tabindex: '0', 'aria-label': 'Log' }),
  };
  parts.filesBox = element('details', {}, parts.filesTitle, parts.files);
  parts.logBox = element('details', {}, element('summary', {}, 'Log'), parts.log);
  const actions = element('div', { class: 'actions' }, parts.report, parts.zip, parts.cancel, parts.again, parts.remove);
  const card = element(
    'li', { class: 'job', 'data-id': job.id },
    parts.title, parts.state, parts.bar, parts.error, parts.warnings, actions, parts.filesBox, parts.logBox,
  );
  parts.card = card;
  parts.cancel.addEventListener('click', async () => {
    // Disabled it would lose the focus.
    if (parts.cancel.ariaDisabled) return;
    parts.cancel.ariaDisabled = 'true';
    await ask(`${job.url}/cancel`, { method: 'POST' });
    refresh();
  });
  parts.remove.addEventListener('click', async () => {
    const made = parts.card.dataset.state === 'done';
    if (made && !window.confirm(`Remove the results of ${job.before} and ${job.after}?`)) return;
    await ask(job.url, { method: 'DELETE' });
    find('jobs').focus({ preventScroll: true });
    refresh();
  });
  parts.again.addEventListener('click', () => {
    DATES.forEach((date) => choose(date, sent.get(job.id)[date]));
    fail('');
    find('options').open = true;
    find('options').querySelector('summary').focus();
    say('Both images are chosen again; change the options and send them.');
  });
  parts.logBox.addEventListener('toggle', () => showLog(parts, job));
  cards.set(job.id, parts);
  return parts;
}

async function showLog(parts, job) {
  if (!parts.logBox.open) return;
  const answer = await ask(job.log);
  if (!answer.ok) return;
  const text = (await answer.text()).trim() || 'Nothing yet.';
  if (parts.log.textContent === text) return;
  const atEnd = parts.log.scrollTop + parts.log.clientHeight >= parts.log.scrollHeight - 4;
  parts.log.textContent = text;
  if (atEnd) parts.log.scrollTop = parts.log.scrollHeight;
}

function seconds(job) {
  const spent = Math.max(0, Math.round((job.ended ?? Date.now() / 1000) - job.started));
  return spent < 120 ? `${spent} s` : `${Math.round(spent / 60)} min`;
}

function described(job) {
  if (job.state === 'waiting') return job.place === 1 ? 'next' : `place ${job.place}`;
  if (job.state === 'running') {
    if (!job.progress) return 'starting';
    const { done, total, unit } = job.progress;
    if (unit === 'file') return `writing file ${Math.min(done + 1, total)} of ${total}`;
    return `${done} of ${total} ${unit}${total === 1 ? '' : 's'}`;
  }
  return job.started && job.ended ? `in ${seconds(job)}` : '';
}

function showFiles(parts, job) {
  parts.filesBox.hidden = !job.files.length;
  if (parts.files.childElementCount === job.files.length) return;
  setText(parts.filesTitle, `Files (${job.files.length})`);
  parts.files.replaceChildren(...job.files.map((file) => element(
    'li', {},
    element('a', { href: file.url, download: '' }, file.name),
    element('span', {}, ` ${file.content}, ${size(file.bytes)}`),
  )));
}

function showBar(parts, job) {
  parts.bar.hidden = job.state !== 'running';
  if (job.progress) {
    parts.bar.max = Math.max(1, job.progress.total);
    parts.bar.value = job.progress.done;
  } else {
    parts.bar.removeAttribute('value');
  }
}

function show(job) {
  const parts = cards.get(job.id) || newCard(job);
  parts.card.dataset.state = job.state;
  setText(parts.title, `${job.before} → ${job.after}`);
  const text = described(job);
  const line = `${WORDS[job.state]}${text ? `: ${text}` : ''}`;
  if (parts.state.textContent !== line) {
    parts.state.replaceChildren(element('b', {}, WORDS[job.state]), text ? `: ${text}` : '');
  }
  showBar(parts, job);
  parts.error.hidden = !job.error;
  setText(parts.error, job.error || '');
  parts.warnings.hidden = !job.warnings.length;
  if (parts.warnings.childElementCount !== job.warnings.length) {
    parts.warnings.replaceChildren(...job.warnings.map((one) => element('li', {}, one)));
  }
  for (const [link, target] of [[parts.report, job.report], [parts.zip, job.zip]]) {
    link.hidden = !target;
    if (target) link.href = target;
  }
  const active = ACTIVE.includes(job.state);
  const focused = document.activeElement === parts.cancel && !active;
  parts.cancel.hidden = !active;
  parts.remove.hidden = active;
  parts.again.hidden = active || job.state === 'done' || !sent.has(job.id);
  if (focused) parts.remove.focus();
  showFiles(parts, job);
  if (parts.logBox.open && active) showLog(parts, job);
  announce(job, line);
  return parts.card;
}

// Changes of states are said aloud, not each window.
function announce(job, line) {
  const earlier = states.get(job.id);
  if (earlier !== undefined && earlier !== job.state) {
    say(`${job.before}: ${line}${job.error ? `. ${job.error}` : ''}`);
    const parts = cards.get(job.id);
    if (parts.logBox.open) showLog(parts, job);
  }
  states.set(job.id, job.state);
}

function showAll(jobs) {
  const list = find('list');
  const shown = new Set(jobs.map((job) => job.id));
  for (const [id, parts] of cards) {
    if (!shown.has(id)) {
      parts.card.remove();
      cards.delete(id);
    }
  }
  jobs.forEach((job, index) => {
    const card = show(job);
    if (list.children[index] !== card) list.insertBefore(card, list.children[index] || null);
  });
  find('none').hidden = jobs.length > 0;
}

async function refresh() {
  clearTimeout(timer);
  let pause = SLOW;
  try {
    const answer = await ask('/api/jobs');
    if (!answer.ok) throw new Error(String(answer.status));
    const jobs = await answer.json();
    showAll(jobs);
    find('offline').hidden = true;
    if (jobs.some((job) => ACTIVE.includes(job.state))) pause = FAST;
  } catch {
    find('offline').hidden = false;
    pause = FAST * 3;
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, pause);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) refresh();
});
refresh();
