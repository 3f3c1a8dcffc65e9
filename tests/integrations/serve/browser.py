"""Drive Chromium by the few requests of WebDriver that the tests of the page need."""

import base64
import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx

BROWSER = next(filter(None, map(shutil.which, ('chromium', 'google-chrome'))), None)
DRIVER = shutil.which('chromedriver')
ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'
OPTIONS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage')
OPTIONS += ('--no-first-run', '--disable-background-networking', '--disable-component-update')


class Browser:
    """A window of Chromium."""

    def __init__(self, client, session):
        self._client, self._session = client, session

    def _do(self, method, path, **body):
        answer = self._client.request(
            method, f'/session/{self._session}/{path}', json=body if method == 'POST' else None
        )
        assert answer.status_code == 200, answer.text
        return answer.json()['value']

    def open(self, address):
        self._do('POST', 'url', url=address)

    def run(self, script, *arguments):
        """Return what a script returns; its arguments are ``arguments[0]`` and so on."""
        return self._do('POST', 'execute/sync', script=script, args=list(arguments))

    def find(self, selector):
        found = self._do('POST', 'element', using='css selector', value=selector)
        return found[ELEMENT]

    def type(self, selector, text):
        """Type into a field; into one for files, choose one."""
        self._do('POST', f'element/{self.find(selector)}/value', text=text)

    def click(self, selector):
        self._do('POST', f'element/{self.find(selector)}/click')

    def press(self, *keys):
        """Press keys one after the other, wherever the focus is."""
        steps = [dict(type=kind, value=key) for key in keys for kind in ('keyDown', 'keyUp')]
        self._do('POST', 'actions', actions=[dict(type='key', id='keys', actions=steps)])

    def size(self, width, height):
        """Set the width of the page, which may be less than that of a window."""
        self._do(
            'POST',
            'goog/cdp/execute',
            cmd='Emulation.setDeviceMetricsOverride',
            params=dict(width=width, height=height, deviceScaleFactor=1, mobile=False),
        )

    def until(self, script, seconds=60):
        """Wait until a script returns something true, which is returned."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(script):
                return found
            time.sleep(0.1)
        raise AssertionError(
            f'never came true: {script}\n{self.run("return document.body.innerText")}'
        )

    def windows(self):
        return self._do('GET', 'window/handles')

    def switch(self, window):
        self._do('POST', 'window', handle=window)

    def picture(self, path=None):
        data = base64.b64decode(self._do('GET', 'screenshot'))
        if path:
            path.write_bytes(data)
        return data

    def complaints(self):
        """Return what the browser has written into its console since the last call."""
        found = self._do('POST', 'se/log', type='browser')
        return [one['message'] for one in found if one['level'] in ('WARNING', 'SEVERE')]


@contextmanager
def open_browser(folder):
    """Start Chromium with a profile and downloads in a folder."""
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        port = found.getsockname()[1]
    process = subprocess.Popen(
        [DRIVER, f'--port={port}'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(
            base_url=f'http://127.0.0.1:{port}', timeout=60, trust_env=False
        ) as client:
            _wait(client)
            chrome = dict(
                binary=BROWSER,
                args=[*OPTIONS, f'--user-data-dir={folder / "profile"}', '--window-size=1280,900'],
                prefs={'download.default_directory': str(folder)},
            )
            wanted = {'goog:chromeOptions': chrome, 'goog:loggingPrefs': dict(browser='ALL')}
            answer = client.post('/session', json=dict(capabilities=dict(alwaysMatch=wanted)))
            assert answer.status_code == 200, answer.text
            session = answer.json()['value']['sessionId']
            try:
                yield Browser(client, session)
            finally:
                client.delete(f'/session/{session}')
    finally:
        process.terminate()
        process.wait(10)


def _wait(client):
    end = time.monotonic() + 20
    while True:
        try:
            if client.get('/status').json()['value']['ready']:
                return
        except (httpx.HTTPError, json.JSONDecodeError):
            if time.monotonic() > end:
                raise
        time.sleep(0.05)
