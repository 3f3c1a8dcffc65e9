"""Test which requests are refused: by their host, by their origin, without the token."""

import pytest

TOKEN = 'a-token-of-the-test'
BROWSER = {'Accept': 'text/html,*/*'}


@pytest.mark.parametrize(
    'host', ['127.0.0.1', 'localhost:8000', '[::1]:9', '10.1.2.3', 'Maps.test']
)
def test_names_that_nobody_else_can_give_to_this_machine(serve, host):
    client = serve(names=['maps.test'])
    assert client.get('/api/jobs', headers={'Host': host}).status_code == 200


@pytest.mark.parametrize(
    'host', ['evil.test', 'localhost.evil.test:8000', '', '127.0.0.1.evil.test']
)
def test_other_names_are_refused(client, host):
    """A page of another site can point its own name to this machine, and is then same-origin."""
    for path in ('/', '/api/jobs', '/api/health', '/static/serve.js'):
        answer = client.get(path, headers={'Host': host})
        assert answer.status_code == 421
        assert '--allow-host' in answer.json()['detail']


@pytest.mark.parametrize(
    'headers',
    [
        {'Origin': 'http://evil.test'},
        {'Origin': 'null'},
        {'Origin': 'http://127.0.0.1:8001'},
        {'Origin': 'http://127.0.0.1:8000.evil.test'},
        {'Sec-Fetch-Site': 'cross-site'},
        {'Sec-Fetch-Site': 'same-site'},
        {'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate'},
        {'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image'},
    ],
)
def test_pages_of_other_sites_can_do_nothing(client, headers):
    job = client.until(client.upload().json(), 'done')
    for method, path in (
        *(('POST', '/api/jobs'), ('DELETE', job['url']), ('POST', job['url'] + '/cancel')),
        *(('GET', '/api/jobs'), ('GET', job['zip']), ('POST', '/login')),
    ):
        assert client.request(method, path, headers=headers).status_code == 403, (method, path)
    assert client.get(job['url']).json() == job


@pytest.mark.parametrize(
    'headers',
    [
        {},
        {'Origin': 'http://127.0.0.1:8000', 'Sec-Fetch-Site': 'same-origin'},
        # A proxy that speaks HTTPS to the browser and keeps the name.
        {'Origin': 'https://127.0.0.1:8000'},
        {'Sec-Fetch-Site': 'none'},
    ],
)
def test_the_own_page_and_other_programs_can(client, headers):
    job = client.until(client.upload().json(), 'done')
    assert client.delete(job['url'], headers=headers).status_code == 204


def test_a_link_to_the_page_can_be_followed(client):
    headers = {'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate'}
    headers |= {'Sec-Fetch-Dest': 'document'}
    assert client.get('/', headers=headers).status_code == 200
    assert client.post('/login', headers=headers).status_code == 403
    # In a frame it can't be shown.
    headers['Sec-Fetch-Dest'] = 'iframe'
    assert client.get('/', headers=headers).status_code == 403


@pytest.fixture
def closed(serve):
    """A server with a token."""
    return serve(token=TOKEN)


def test_without_the_token_nothing_is_told(closed):
    for path in ('/', '/api/jobs', '/openapi.json', '/api/limits', '/nothing', '/static/serve.js'):
        answer = closed.get(path)
        assert answer.status_code == 401, path
        assert answer.headers['www-authenticate'] == 'Bearer'
        wrong = {'Authorization': f'Bearer {TOKEN}x'}
        assert closed.get(path, headers=wrong).status_code == 401
    assert closed.upload().status_code == 401
    assert closed.get('/api/health').json()['status'] == 'ok'


def test_programs_send_the_token(closed):
    for kind in ('Bearer', 'bearer'):
        headers = {'Authorization': f'{kind} {TOKEN}'}
        assert closed.get('/api/jobs', headers=headers).json() == []


def test_browsers_are_asked_for_the_token(closed, monkeypatch):
    monkeypatch.setattr('tfinet_mm.integrations.serve.app.WRONG_TOKEN_S', 0.0)
    asked = closed.get('/', headers=BROWSER)
    assert asked.url.path == '/login'
    assert 'type="password"' in asked.text
    wrong = closed.post('/login', data=dict(token='x'))
    assert wrong.status_code == 401
    assert 'not the token' in wrong.text
    assert 'set-cookie' not in wrong.headers
    right = closed.post('/login', data=dict(token=TOKEN), follow_redirects=False)
    cookie = right.headers['set-cookie']
    assert 'HttpOnly' in cookie
    assert 'SameSite=strict' in cookie
    # The token itself isn't kept in the browser.
    assert TOKEN not in cookie
    assert 'Map the changes' in closed.get('/', headers=BROWSER).text
    assert closed.upload().status_code == 201
    closed.cookies.clear()
    for value in ('', 'x', TOKEN, '"', 'ä'.encode()):
        forged = {
            'Cookie': b'tfinet_session=' + (value if isinstance(value, bytes) else value.encode())
        }
        assert closed.get('/api/jobs', headers=forged).status_code == 401


def test_without_a_token_there_is_no_login(client):
    assert client.get('/login').url.path == '/'
    assert client.post('/login', data=dict(token='')).status_code == 401


def test_websockets_are_refused(client):
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), client.websocket_connect('/'):
        pass
