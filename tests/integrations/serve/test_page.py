"""Test the page in headless Chromium: by files, keys and buttons, as a reader uses it."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from tfinet_mm.checkpoints.shipped import DEFAULT, is_shipped
from tfinet_mm.integrations.serve.queue import MODULE

specification = importlib.util.spec_from_file_location(
    'serve_browser', Path(__file__).with_name('browser.py')
)
browser = importlib.util.module_from_spec(specification)
specification.loader.exec_module(browser)

if browser.BROWSER is None or browser.DRIVER is None:
    pytest.skip('no chromium with chromedriver on this machine', allow_module_level=True)

TAB, ENTER, SPACE = '\ue004', '\ue007', ' '
OPTIONS = "return fetch('/api/jobs').then((answer) => answer.json()).then((all) => all[0].options)"
STATE = "return document.querySelector('.job')?.dataset.state"


@pytest.fixture(scope='module')
def chromium(tmp_path_factory):
    """A window of Chromium; its console has to stay empty."""
    with browser.open_browser(tmp_path_factory.mktemp('chromium')) as window:
        yield window


@pytest.fixture
def page(chromium, listen):
    """A function that opens the page of a server, with a width; all end with the test."""
    opened = []

    def start(width=1280, **options):
        context = listen(**options)
        address = context.__enter__()
        opened.append(context)
        chromium.size(width, 900)
        chromium.open(address)
        return chromium

    yield start
    complaints = chromium.complaints()
    chromium.open('about:blank')
    for context in opened:
        context.__exit__(None, None, None)
    assert complaints == []


@pytest.fixture
def file(tmp_path):
    """A function that writes a file that the server takes for a TIFF."""

    def write(name, text=b''):
        (tmp_path / name).write_bytes(b'II*\0....' + text)
        return str(tmp_path / name)

    return write


def choose(page, before, after):
    page.type('#before', before)
    page.type('#after', after)


def text(page, selector):
    return page.run('return document.querySelector(arguments[0]).textContent', selector)


def test_two_geotiffs_from_the_form_to_the_report(page, tmp_path):
    """With the weights of the package, in a process of its own."""
    rasterio = pytest.importorskip('rasterio')
    for package in ('pyogrio', 'plotly'):
        pytest.importorskip(package)
    if not is_shipped(DEFAULT):
        pytest.skip(f'{DEFAULT} is not here')
    rng = np.random.default_rng(0)
    for date in ('before', 'after'):
        options = dict(driver='GTiff', width=96, height=64, count=3, dtype='uint8')
        options |= dict(crs='EPSG:32633', transform=rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6))
        with rasterio.open(tmp_path / f'{date} <i>.tif', 'w', **options) as raster:
            raster.write(rng.integers(0, 256, (3, 64, 96), np.uint8))
    words = ['--no-tta', '--no-registration', '--device', 'cpu', '--window', '64']
    page = page(command=[sys.executable, '-m', MODULE], options=words)
    choose(page, *(str(tmp_path / f'{date} <i>.tif') for date in ('before', 'after')))
    page.click('#send')
    page.until(f"{STATE} === 'done'", 200)
    assert text(page, '.job h3') == 'before <i>.tif → after <i>.tif'
    assert page.run("return document.querySelectorAll('.job i').length") == 0
    assert page.run("return document.querySelectorAll('.files li').length") > 20
    page.click('.job details:last-child summary')
    page.until("return document.querySelector('.job pre').textContent.includes('2/2 [')")
    page.open(page.run("return document.querySelector('.job .primary').href"))
    page.until("return document.documentElement.dataset.ready === '0'")
    # It has no access to the server, by what it runs in.
    assert page.run('return window.origin') == 'null'
    assert page.run('return document.title') == 'Changes from before <i>.tif to after <i>.tif'
    canvas = "document.getElementById('canvas')"
    assert page.run(f'return {canvas}.width') > 90


def test_a_job_by_keyboard(page, file):
    page = page()
    choose(page, file('b.tif', b'SLOW'), file('a.tif'))
    page.run("document.querySelector('#swap').focus()")
    page.press(ENTER)
    assert text(page, '[data-date="before"] .chosen').startswith('a.tif')
    page.press(SPACE)
    assert text(page, '[data-date="before"] .chosen').startswith('b.tif')
    page.press(TAB, TAB, TAB)
    assert page.run('return document.activeElement.id') == 'send'
    page.press(ENTER)
    page.until(f"{STATE} === 'running'")
    page.until("return document.querySelector('.job .state').textContent.includes('3 of 12 win')")
    assert page.run("return document.querySelector('.job progress').value") == 3
    # From the heading of the jobs to the only button.
    assert page.run('return document.activeElement.id') == 'jobs'
    page.press(TAB)
    assert page.run('return document.activeElement.textContent') == 'Cancel'
    page.press(ENTER)
    page.until(f"{STATE} === 'cancelled'")
    assert text(page, '#said').startswith('b.tif: Cancelled')
    # The button that is gone leaves its focus to the next.
    assert page.run('return document.activeElement.textContent') == 'Remove'
    page.press(ENTER)
    page.until("return !document.querySelector('.job')")
    assert not page.run("return document.getElementById('none').hidden")


def test_a_bad_pair_is_explained(page, file):
    page = page()
    choose(page, file('b.tif', b'WRONG'), file('a.tif'))
    page.click('#send')
    page.until(f"{STATE} === 'failed'")
    assert text(page, '.job .error') == ('b.tif, a.tif, a-before.tif: no CRS; <b>say</b> which')
    assert page.run("return document.querySelectorAll('.job .error b').length") == 0
    assert 'no CRS' in text(page, '#said')
    page.click('.job details:last-child summary')
    page.until("return document.querySelector('.job pre').textContent.includes('Reading')")
    # With other options, without choosing the files again.
    page.run("document.querySelector('.again').click()")
    page.type('[name="threshold"]', '0.4')
    page.click('#send')
    page.until("return document.querySelectorAll('.job').length === 2")
    page.until(f"{STATE} === 'failed'")
    assert page.run(OPTIONS) == ['--threshold=0.4']


def test_refused_uploads_are_explained(page, file, tmp_path):
    page = page(limits=dict(upload_bytes=100))
    page.click('#send')
    assert text(page, '#form-error') == 'Choose an image for before and for after.'
    choose(page, file('b.tif', b'x' * 100), file('a.tif'))
    page.click('#send')
    assert text(page, '#form-error').startswith('b.tif has ')
    (tmp_path / 'page.tif').write_text('<html>')
    choose(page, str(tmp_path / 'page.tif'), file('a.tif'))
    page.click('#send')
    page.until("return document.getElementById('form-error').textContent.includes('no GeoTIFF')")
    # The browser writes each refusal into its console.
    assert all('415' in one for one in page.complaints())


def test_options_of_the_form_are_sent(page, file):
    page = page()
    page.click('form summary')
    page.type('[name="threshold"]', '0.4')
    page.click('[name="align"]')
    choose(page, file('b.tif'), file('a.tif'))
    page.click('#send')
    page.until(f"{STATE} === 'done'")
    assert page.run(OPTIONS) == ['--threshold=0.4', '--align']
    assert text(page, '.job .warnings') == 'after (a.tif) lies 2 px from b.tif'


def test_two_files_at_once_are_sorted_by_name(page, file):
    page = page()
    page.type('#before', '\n'.join([file('2023.tif'), file('2018.tif')]))
    assert text(page, '[data-date="before"] .chosen').startswith('2018.tif')
    assert text(page, '[data-date="after"] .chosen').startswith('2023.tif')


DROP = """
const files = new DataTransfer();
for (const name of arguments[1]) files.items.add(new File(['II*'], name));
const event = new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true });
document.querySelector(arguments[0]).dispatchEvent(event);
return event.defaultPrevented;
"""


def test_files_are_dropped(page):
    page = page()
    fields = [f'[data-date="{date}"] .chosen' for date in ('before', 'after')]
    assert page.run(DROP, '[data-date="after"] strong', ['x.tif'])
    assert [text(page, one)[:5] for one in fields] == ['Choos', 'x.tif']
    # Anywhere on the page: the first that is free, then both.
    page.run(DROP, 'footer', ['y.tif'])
    assert [text(page, one)[:5] for one in fields] == ['y.tif', 'x.tif']
    page.run(DROP, 'footer', ['b.png', 'a.png'])
    assert [text(page, one)[:5] for one in fields] == ['a.png', 'b.png']
    assert text(page, '#said') == 'before: a.png, after: b.png'
    page.run(DROP, 'footer', ['a', 'b', 'c'])
    assert text(page, '#form-error').startswith('3 files were dropped')


@pytest.mark.parametrize('width', [375, 1280])
def test_nothing_is_wider_than_the_window(page, file, width):
    page = page(width)
    name = f'{"a-long-name-" * 12}.tif'
    choose(page, file(name), file('a.tif'))
    page.click('#send')
    page.until(f"{STATE} === 'done'")
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.run('return document.documentElement.scrollWidth <= window.innerWidth')
    assert page.run('return window.innerWidth') == width


def test_the_page_asks_for_the_token(page):
    page = page(token='a token of this test')
    assert page.run('return location.pathname') == '/login'
    page.type('[name="token"]', 'a token of this test')
    page.press(ENTER)
    page.until("return location.pathname === '/' && document.getElementById('send')")
