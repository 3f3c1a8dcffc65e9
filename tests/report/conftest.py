"""Folders as tools/predict.py writes them, and a headless browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_run import new_runner  # noqa: F401, a fixture

from tfinet_mm.structures import ClassTable

NAMES = ('same', 'wood', 'a<b> & "c"', 'town')
TABLE = ClassTable(NAMES, ((255, 255, 255), (0, 160, 0), (0, 0, 255), (200, 0, 0)))


def write_map(path, values, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint8))
    if palette is not None:
        image.putpalette([value for colour in palette for value in colour])
    image.save(path)


def random_pair(seed, shape=(30, 40), share=0.4):
    """Return classes before and after, 0 where unchanged, and P(changed) 0..255."""
    rng = np.random.default_rng(seed)
    changed = rng.random(shape) < share
    before, after = (rng.integers(1, 4, shape) * changed for _ in range(2))
    return before, after, rng.integers(0, 256, shape)


@pytest.fixture(scope='session')
def table():
    return TABLE


@pytest.fixture(scope='session')
def predict():
    """A function that writes an output folder with pictures; returns it and the maps by name."""

    def make(tmp_path, names=('a', 'sub/b.c <i>'), out='out', unfinished=(), images=True, **shares):
        folder = tmp_path / out
        maps, pairs = {}, []
        for index, name in enumerate([*names, *unfinished]):
            paths = {d: str(tmp_path / 'images' / d / f'{index}.png') for d in ('before', 'after')}
            pairs.append(dict(name=name, kind='picture', **paths))
            if name in unfinished:
                continue
            before, after, prob = maps[name] = random_pair(index, share=shares.get(name, 0.4))
            write_map(folder / 'label1' / f'{name}.png', before, TABLE.palette)
            write_map(folder / 'label2' / f'{name}.png', after, TABLE.palette)
            write_map(folder / 'change_prob' / f'{name}.png', prob)
            for date, path in enumerate(paths.values()):
                if images:
                    colour = np.full((*before.shape, 3), (250, 240, 30) if date else (20, 30, 240))
                    write_map(tmp_path / path, colour)
        write_manifest(folder, pairs)
        return folder, maps

    return make


@pytest.fixture
def predicted(predict, tmp_path):
    """:func:`predict` below ``tmp_path``."""
    return lambda *args, **options: predict(tmp_path, *args, **options)


def write_manifest(folder, pairs, **more):
    folder.mkdir(parents=True, exist_ok=True)
    manifest = dict(
        version=1,
        class_names=list(TABLE.names),
        palette=[list(colour) for colour in TABLE.palette],
        threshold=0.5,
        settings={'config': 'a & b.py', 'tta': False},
        pairs=pairs,
    )
    (folder / 'manifest.json').write_text(json.dumps(manifest | more))


@pytest.fixture
def manifest():
    return write_manifest


HERE = Path(__file__).parent
BROWSER = next(filter(None, map(shutil.which, ('chromium', 'google-chrome'))), None)
CATCH = """<script>
window.testErrors = [];
window.addEventListener('error', (event) => testErrors.push(String(event.message)));
window.addEventListener('unhandledrejection', (event) => testErrors.push(String(event.reason)));
document.addEventListener('securitypolicyviolation', (event) => testErrors.push(event.blockedURI));
</script>"""
LISTEN = """<script>
window.addEventListener('message', (event) => {
  if (!event.data.testResult) return;
  const node = document.createElement('script');
  node.type = 'application/json';
  node.id = 'test-result';
  node.textContent = event.data.testResult;
  document.body.append(node);
});
</script>"""


@pytest.fixture(scope='session')
def browse(tmp_path_factory):
    """A function that opens a copy of a page in Chromium, acts on it, and returns its answers.

    Whatever the page prints to the console, or tries to load, fails the test.
    """
    if BROWSER is None:
        pytest.skip('no chromium or google-chrome on this machine')
    folder = tmp_path_factory.mktemp('browser')

    def act(page, actions, dark=False, frame=None):
        """Open it in a window, or in a frame of a given width, since windows have a least width."""
        head, body = page.read_text(encoding='utf-8').split('<head>', 1)
        runner = (HERE / 'runner.js').read_text(encoding='utf-8')
        actions = (HERE / actions).read_text(encoding='utf-8')
        script = f'<script>{runner.replace("ACTIONS", actions)}</script>'
        end = body.rindex('</body>')
        copy = folder / 'copy.html'
        catch = CATCH if frame else CATCH + LISTEN
        copy.write_text(f'{head}<head>{catch}{body[:end]}{script}{body[end:]}', encoding='utf-8')
        opened = copy
        if frame:
            opened = folder / 'frame.html'
            inner = f'<iframe src="copy.html" style="width: {frame}px; height: 800px; border: 0">'
            opened.write_text(f'<!doctype html>{LISTEN}<body>{inner}</iframe></body>')
        command = [BROWSER, '--headless=new', '--no-sandbox', '--disable-gpu', '--dump-dom']
        command += ['--enable-logging=stderr', '--virtual-time-budget=60000']
        command += [f'--user-data-dir={folder / "profile"}', '--window-size=1200,900']
        command += ['--disable-background-networking', '--no-first-run', '--disable-dev-shm-usage']
        command += ['--disable-component-update', '--disable-sync', '--disable-quic']
        command += ['--blink-settings=preferredColorScheme=0'] if dark else []
        done = subprocess.run(
            [*command, opened.as_uri()], capture_output=True, text=True, timeout=120, check=False
        )
        said = re.search(r'id="test-result">(.*?)</script>', done.stdout, re.DOTALL)
        assert said, done.stderr[-2000:]
        answer = json.loads(said[1])
        assert not answer['errors']
        # The browser warns that the test itself reads pixels often.
        lines = [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
        assert not [line for line in lines if 'Multiple readback' not in line]
        assert 'failed' not in (answer['result'] or {}), answer
        return answer['result']

    return act
