"""Test the interface over HTTP: a job's life, its files, its limits, and refused uploads."""

import asyncio
import errno
import io
import json
import time
import zipfile
from pathlib import Path

import pytest

from tfinet_mm.integrations.serve.guard import REPORT_POLICY


def test_a_job_from_its_upload_to_its_files(client):
    answer = client.upload(names=('Köln 1.tif', 'b.tif'), threshold='0.4', min_area='')
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert answer.headers['location'] == job['url']
    job = client.until(job, 'done')
    assert (job['before'], job['after']) == ('Köln 1.tif', 'b.tif')
    assert job['place'] is None
    assert job['error'] is None
    assert client.get('/api/jobs').json() == [job]
    files = {one['name']: one for one in job['files']}
    # Neither a file that isn't known nor a link.
    assert set(files) == {'report.html', 'before/change.tif', 'before/areas.csv'}
    assert files['before/change.tif']['bytes'] == 4000
    one = client.get(files['before/change.tif']['url'])
    assert one.content == b'maps' * 1000
    assert one.headers['content-disposition'] == 'attachment; filename="before-change.tif"'
    assert one.headers['content-type'] == 'application/octet-stream'
    assert client.get(files['before/areas.csv']['url']).text == '--threshold=0.4'
    packed = zipfile.ZipFile(io.BytesIO(client.get(job['zip']).content))
    assert packed.testzip() is None
    assert packed.namelist() == list(files)
    assert packed.read('before/change.tif') == one.content
    report = client.get(job['report'])
    assert 'Changes from Köln 1.tif to b.tif' in report.text
    assert report.headers['content-type'] == 'text/html; charset=utf-8'
    assert report.headers['content-security-policy'] == REPORT_POLICY
    assert job['warnings'] == ['after (b.tif) lies 2 px from Köln 1.tif']
    log = client.get(job['log']).text
    assert 'after (after.tif) lies' in log
    assert log.startswith('Reading the checkpoint\n')
    # Of a bar only its last state.
    assert 'before:  25%' in log
    assert '0/12' not in log


def test_uploads_are_removed_when_a_job_ends(client, folders):
    client.until(client.upload().json(), 'done')
    (folder,) = folders()
    assert not list(folder.glob('*.tif'))
    assert folder.stat().st_mode & 0o077 == 0


def test_progress_place_and_cancelling(client):
    running, first, second = (client.upload(b'SLOW').json() for _ in range(3))
    running = client.until(running, 'running')
    while running['progress'] is None:
        running = client.get(running['url']).json()
    assert running['progress'] == dict(done=3, total=12, unit='window')
    places = [client.get(one['url']).json()['place'] for one in (running, first, second)]
    assert places == [None, 1, 2]
    assert client.post(first['url'] + '/cancel').json()['state'] == 'cancelled'
    assert client.get(second['url']).json()['place'] == 1
    assert client.get(f'/jobs/{running["id"]}/report').status_code == 409
    client.post(running['url'] + '/cancel')
    assert client.until(running, 'cancelled')['files'] == []
    client.until(second, 'running')


def test_a_removed_job_leaves_nothing(client, folders):
    running, waiting = (client.upload(b'SLOW').json() for _ in range(2))
    client.until(running, 'running')
    for job in (waiting, running):
        assert client.delete(job['url']).status_code == 204
    end = time.monotonic() + 20
    while folders():
        assert time.monotonic() < end
    assert client.get(running['url']).status_code == 404
    assert client.get('/api/jobs').json() == []


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (b'WRONG', 'after.tif, before.tif, a-before.tif: no CRS; <b>say</b> which'),
        (b'CRASH', 'The prediction was ended by SIGKILL, as the system does when memory runs out'),
        (b'BUG', 'The prediction failed with status 1; see the log'),
    ],
)
def test_a_job_that_fails_says_why(client, text, said):
    # Each has the name under which the other is stored.
    names = ('after.tif', 'before.tif')
    job = client.until(client.upload(text, names=names).json(), 'failed')
    assert said in job['error']
    assert ('RuntimeError: a bug' in client.get(job['log']).text) == (text == b'BUG')
    # The server still answers.
    client.until(client.upload().json(), 'done')


def test_a_job_that_takes_too_long_is_stopped(serve):
    client = serve(dict(job_seconds=0.2))
    job = client.until(client.upload(b'SLOW').json(), 'failed')
    assert 'longest time of this server (--max-minutes)' in job['error']


def test_a_file_over_the_limit_is_refused_while_it_comes(serve, folders):
    client = serve(dict(upload_bytes=1000))
    assert client.upload(b'x' * 992).status_code == 201
    answer = client.upload(b'x' * 993)
    assert answer.status_code == 413
    assert answer.json()['detail'].startswith('b.tif is larger than 0.001 MB')
    assert len(folders()) == 1


def test_an_upload_over_the_limit_is_refused_before_it_is_read(serve):
    client = serve(dict(upload_bytes=1000))

    def never():
        raise AssertionError('read')
        yield

    headers = {'Content-Length': str(3 << 20), 'Content-Type': 'multipart/form-data; boundary=x'}
    assert client.post('/api/jobs', headers=headers, content=never()).status_code == 413


def test_an_upload_without_a_length_is_limited_as_well(serve):
    client = serve(dict(upload_bytes=1000))
    pieces = (b'--x\r\n' + b'y' * 65536 for _ in range(100))
    answer = client.post(
        '/api/jobs', headers={'Content-Type': 'multipart/form-data; boundary=x'}, content=pieces
    )
    assert answer.status_code in (400, 413)


VRT = b'<VRTDataset rasterXSize="1"><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>'


@pytest.mark.parametrize('content', [VRT, b'', b'II', b'GIF89a......', b'\0' * 100, b' II*\0'])
def test_other_formats_are_refused_by_their_first_bytes(client, folders, content):
    files = dict(before=('b.tif', content), after=('a.tif', b'II*\0....'))
    answer = client.post('/api/jobs', files=files)
    assert answer.status_code == 415
    assert 'b.tif (before) is no GeoTIFF, PNG or JPEG' in answer.json()['detail']
    assert folders() == []


TIFF = ('x.tif', b'II*\0....')


@pytest.mark.parametrize(
    ('files', 'data', 'status', 'said'),
    [
        (dict(before=TIFF), {}, 422, 'the file after is missing'),
        ([('before', TIFF), ('before', TIFF)], {}, 422, 'before is there twice'),
        (dict(before=TIFF, other=TIFF), {}, 422, 'other has to be a text'),
        (dict(after=TIFF), dict(before='/etc/passwd'), 422, 'before has to be a file'),
        (dict(before=TIFF, after=TIFF), dict(out='/'), 422, "no option 'out'"),
        (dict(before=TIFF, after=TIFF), dict(threshold='2'), 422, 'from 0 to 1'),
        (dict(before=TIFF, after=TIFF), dict(threshold='nan'), 422, 'from 0 to 1'),
        (dict(before=TIFF, after=TIFF), dict(bands='--out /'), 422, '--bands takes numbers'),
        (dict(before=TIFF, after=TIFF), dict(bands='0 1 2'), 422, 'counted from 1'),
        (dict(before=TIFF, after=TIFF), dict(stretch='0'), 422, '--stretch takes LOW HIGH'),
        (dict(before=TIFF, after=TIFF), dict(align='maybe'), 422, 'align takes on or off'),
        (dict(before=TIFF, after=TIFF), dict(bands='1 ' * 600), 413, 'bands has over 1000 bytes'),
        ({f'a{n}': (None, '1') for n in range(20)}, {}, 400, 'more than 16 fields'),
        ({}, dict(a='b'), 415, 'curl -F before=@FILE'),
    ],
)
def test_forms_that_are_refused(client, folders, files, data, status, said):
    answer = client.post('/api/jobs', files=files, data=data)
    assert answer.status_code == status, answer.text
    assert said in answer.json()['detail']
    assert folders() == []


def test_a_form_that_is_cut_off_or_damaged(client, folders):
    headers = {'Content-Type': 'multipart/form-data; boundary=x'}
    start = (
        b'--x\r\nContent-Disposition: form-data; name="before"; filename="b.tif"\r\n\r\nII*\0....'
    )
    for content in (start, b'no form'):
        assert client.post('/api/jobs', headers=headers, content=content).status_code == 400
    assert folders() == []


def raw_form(client, disposition):
    """Send a form whose first file has this header."""
    after = b'Content-Disposition: form-data; name="after"; filename="a.tif"'
    parts = (b'Content-Disposition: form-data; name="before"; ' + disposition, after)
    body = b''.join(b'--x\r\n' + part + b'\r\n\r\nII*\0....\r\n' for part in parts) + b'--x--\r\n'
    headers = {'Content-Type': 'multipart/form-data; boundary=x'}
    return client.post('/api/jobs', headers=headers, content=body)


@pytest.mark.parametrize(
    ('disposition', 'name'),
    [
        (b"filename*=UTF-8''K%C3%B6ln%201.tif", 'Köln 1.tif'),
        (b'filename="a.tif"; filename*=iso-8859-1\'de\'K%F6ln.tif', 'Köln.tif'),
        (b"filename*=utf-8''..%2F..%2Fx%00.tif", 'x.tif'),
    ],
)
def test_names_that_are_no_ascii_come_in_two_forms(client, disposition, name):
    answer = raw_form(client, disposition)
    assert answer.status_code == 201, answer.text
    assert answer.json()['before'] == name


@pytest.mark.parametrize('more', [b'', b'\r\nX-Long: '])
def test_headers_of_a_form_are_limited(client, folders, more):
    answer = raw_form(client, b'filename="a.tif"' + more + b'; x=' + b'a' * 100_000)
    assert answer.status_code == 400
    assert answer.json()['detail'].endswith('is too long; rename the file')
    assert folders() == []


def test_names_of_uploads_never_become_paths(client, folders):
    names = ('../../../<b>x</b>.tif', r'C:\..\evil\y.vrt')
    job = client.upload(b'SLOW', names=names).json()
    assert (job['before'], job['after']) == ('b>.tif', 'y.vrt')
    client.until(job, 'running')
    (folder,) = folders()
    assert {path.name for path in folder.glob('*.tif')} == {'before.tif', 'after.tif'}


@pytest.mark.parametrize(
    'path',
    [
        '/api/jobs/{id}/files/job.json',
        '/api/jobs/{id}/files/../job.json',
        '/api/jobs/{id}/files/%2e%2e/job.json',
        '/api/jobs/{id}/files/..%2fjob.json',
        '/api/jobs/{id}/files/%2fetc%2fpasswd',
        '/api/jobs/{id}/files//etc/passwd',
        '/api/jobs/{id}/files/before/secret.txt',
        '/api/jobs/{id}/files/before/valid.tif',
        '/api/jobs/{id}/files/before/change.tif%00',
        '/api/jobs/..%2f{id}/log',
        '/api/jobs/{id}%2f..%2f{id}',
        '/api/jobs/%2e%2e',
        '/jobs/..%2f..%2fetc/report',
        '/static/..%2fapp.py',
        '/static/serve.css%00.py',
        '/docs',
        '/redoc',
    ],
)
def test_nothing_else_can_be_read(client, path):
    job = client.until(client.upload().json(), 'done')
    answer = client.get(path.format(id=job['id']))
    assert answer.status_code == 404, answer.text
    assert 'root:' not in answer.text


def test_headers_alone(client):
    """Ask for headers alone, as ``curl -I`` does."""
    job = client.until(client.upload().json(), 'done')
    paths = ['/', '/api/jobs', '/api/health', job['url'], job['log'], job['report']]
    for path in [*paths, *(one['url'] for one in job['files'])]:
        asked, given = client.head(path), client.get(path)
        assert (asked.status_code, asked.content) == (200, b''), path
        for name in ('content-type', 'content-length', 'content-disposition'):
            assert asked.headers.get(name) == given.headers.get(name), path
    assert client.head(job['zip']).headers['content-type'] == 'application/zip'
    assert client.head('/nothing').status_code == 404
    assert 'head' not in client.get('/openapi.json').json()['paths']['/api/jobs']


def test_a_part_of_a_file(client):
    job = client.until(client.upload().json(), 'done')
    url = job['files'][1]['url']
    part = client.get(url, headers={'Range': 'bytes=4-7'})
    assert (part.status_code, part.content) == (206, b'maps')
    assert client.get(url, headers={'Range': 'bytes=5000-'}).status_code == 416


def test_files_that_are_there_no_longer(client, folders):
    job = client.until(client.upload().json(), 'done')
    (folder,) = folders()
    (folder / 'results/report.html').unlink()
    for path in (job['report'], job['zip'], job['files'][0]['url']):
        answer = client.get(path)
        assert answer.status_code == 404
        assert 'report.html has been removed from the server' in answer.json()['detail']
    assert client.get(job['files'][1]['url']).status_code == 200


def test_headers_of_every_answer(client):
    job = client.until(client.upload().json(), 'done')
    paths = (
        '/',
        '/static/serve.js',
        '/api/jobs',
        '/nothing',
        job['report'],
        job['zip'],
        job['log'],
    )
    for path in paths:
        headers = client.get(path).headers
        assert headers['x-content-type-options'] == 'nosniff', path
        assert "default-src 'none'" in headers['content-security-policy'], path
        assert headers['referrer-policy'] == 'same-origin', path
        assert headers['cross-origin-resource-policy'] == 'same-origin', path
        assert 'access-control-allow-origin' not in headers, path


def test_too_many_jobs_that_wait(serve):
    client = serve(dict(waiting=2))
    running = client.upload(b'SLOW').json()
    client.until(running, 'running')
    assert [client.upload(b'SLOW').status_code for _ in range(2)] == [201, 201]
    answer = client.upload()
    assert answer.status_code == 429
    assert answer.headers['retry-after'] == '60'


def test_a_disk_that_fills_up_while_a_file_comes(client, monkeypatch, folders):
    def fail(self, data):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('tfinet_mm.integrations.serve.uploads.Upload.feed', fail)
    answer = client.upload()
    assert answer.status_code == 507
    assert answer.json()['detail'] == 'the upload could not be stored: No space left on device'
    assert folders() == []


def test_waiting_for_the_end_of_a_job(client):
    job = client.upload().json()
    assert client.get(job['url'], params=dict(wait=20)).json()['state'] == 'done'
    slow = client.upload(b'SLOW').json()
    found = client.get(slow['url'], params=dict(wait=0.3)).json()
    assert found['state'] in ('waiting', 'running')
    answer = client.get(job['url'], params=dict(wait=-1))
    assert answer.status_code == 422
    assert answer.json()['detail'].startswith('wait: Input should be greater')


def test_a_stalled_upload(serve, folders):
    client = serve(dict(upload_seconds=0.05))

    async def feed(path, body, messages):
        """Send the start of a form to the application, and nothing more."""
        sent = []
        waiting = iter([dict(type='http.request', body=body, more_body=True)])

        async def receive():
            for message in waiting:
                return message
            await asyncio.sleep(30)

        async def send(message):
            sent.append(message)

        kind = b'multipart/form-data; boundary=x'
        scope = dict(type='http', method='POST', path=path, raw_path=path.encode())
        scope |= dict(query_string=b'', headers=[(b'host', b'localhost'), (b'content-type', kind)])
        await client.app(scope, receive, send)
        messages += sent

    messages = []
    client.portal.call(feed, '/api/jobs', b'--x\r\n', messages)
    assert messages[0]['status'] == 408
    assert b'nothing of the upload came for 0.05 s' in messages[1]['body']
    assert folders() == []


def test_a_full_disk(client, monkeypatch, folders):
    class Usage:
        free = 1 << 20

    monkeypatch.setattr('shutil.disk_usage', lambda _: Usage)
    answer = client.upload()
    assert answer.status_code == 507
    assert '1 MB are left' in answer.json()['detail']
    assert folders() == []


def test_the_interface_is_described(client):
    described = client.get('/openapi.json').json()
    paths = described['paths']
    assert set(paths) == {
        *('/api/health', '/api/limits', '/api/network', '/api/jobs', '/api/jobs/{id}'),
        '/api/jobs/{id}/cancel',
        *('/api/jobs/{id}/log', '/api/jobs/{id}/files.zip', '/api/jobs/{id}/files/{name}'),
    }
    form = paths['/api/jobs']['post']['requestBody']['content']['multipart/form-data']['schema']
    assert form['required'] == ['before', 'after']
    assert 'threshold' in form['properties']
    answer = paths['/api/jobs/{id}']['get']['responses']['200']['content']['application/json']
    job = client.until(client.upload().json(), 'done')
    assert set(answer['schema']['properties']) == set(job)


def test_the_page_names_the_limits_and_loads_nothing_from_elsewhere(serve):
    client = serve(dict(upload_bytes=7 << 20))
    page = client.get('/').text
    assert 'A file may have 7 MB' in page
    assert 'data-upload-bytes="7340032"' in page
    sources = [page, *(client.get(f'/static/serve.{kind}').text for kind in ('css', 'js'))]
    assert not any('http:' in text or 'https:' in text or '//cdn' in text for text in sources)
    assert json.loads(client.get('/api/limits').text)['upload_bytes'] == 7 << 20


def test_every_static_file_is_served(client):
    folder = Path(make_static())
    for path in folder.iterdir():
        answer = client.get(f'/static/{path.name}')
        assert answer.text == path.read_text(encoding='utf-8')
        assert answer.headers['content-type'].startswith('text/')


def make_static():
    import tfinet_mm.integrations.serve as package

    return Path(package.__file__).parent / 'static'
