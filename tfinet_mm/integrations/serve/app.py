"""Answer the requests of browsers and other programs: the page, and the interface in JSON.

FastAPI, the extra ``serve``, is imported with this module.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import jinja2
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tfinet_mm.integrations.serve.guard import (
    COOKIE,
    FILE_POLICY,
    LOGIN,
    REPORT_POLICY,
    Guard,
    same,
    session,
)
from tfinet_mm.integrations.serve.jobs import DONE, ENDED, Job
from tfinet_mm.integrations.serve.limits import MEGABYTE, Limits, megabytes
from tfinet_mm.integrations.serve.network import ServedNetwork
from tfinet_mm.integrations.serve.options import FIELDS, read_options
from tfinet_mm.integrations.serve.products import PRODUCTS, REPORT, zipped
from tfinet_mm.integrations.serve.progress import read_log
from tfinet_mm.integrations.serve.queue import JobQueue
from tfinet_mm.integrations.serve.refusal import Refusal
from tfinet_mm.integrations.serve.uploads import DATES, Upload, too_large
from tfinet_mm.version import __version__

STATIC = {'serve.css': 'text/css', 'serve.js': 'text/javascript'}
FORM_BYTES = MEGABYTE
"""Bytes of a form besides its files."""
RESERVE_BYTES = 512 * MEGABYTE
"""Bytes of the disk that uploads leave free."""
WRONG_TOKEN_S = 0.5
LONGEST_WAIT_S = 3600
WAIT_STEP_S = 0.2
JOB_SCHEMA: dict[str, Any] = dict(
    type='object',
    properties=dict(
        id=dict(type='string'),
        state=dict(type='string', enum=['waiting', 'running', 'done', 'failed', 'cancelled']),
        place=dict(type='integer', nullable=True, description='place among those that wait'),
        before=dict(type='string', description='name of the first file'),
        after=dict(type='string', description='name of the second file'),
        options=dict(type='array', items=dict(type='string')),
        created=dict(type='number', description='seconds since 1970'),
        started=dict(type='number', nullable=True),
        ended=dict(type='number', nullable=True),
        progress=dict(
            type='object',
            nullable=True,
            properties=dict(
                done=dict(type='integer'),
                total=dict(type='integer'),
                unit=dict(type='string', enum=['window', 'pair', 'file']),
            ),
        ),
        error=dict(type='string', nullable=True, description='why it failed'),
        warnings=dict(type='array', items=dict(type='string')),
        url=dict(type='string'),
        log=dict(type='string', description='path of what its prediction printed'),
        report=dict(type='string', nullable=True, description='path of its report'),
        zip=dict(type='string', nullable=True, description='path of all its files in one'),
        files=dict(
            type='array',
            items=dict(
                type='object',
                properties=dict(
                    name=dict(type='string'),
                    content=dict(type='string'),
                    bytes=dict(type='integer'),
                    url=dict(type='string'),
                ),
            ),
        ),
    ),
)
FORM_SCHEMA: dict[str, Any] = dict(
    type='object',
    required=list(DATES),
    properties={date: dict(type='string', format='binary') for date in DATES}
    | {name: dict(type='string', description=said) for name, (_, said) in FIELDS.items()},
)


def _answers(content: dict[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the part of OpenAPI on an answer in JSON."""
    return {status: dict(description='', content={'application/json': dict(schema=content)})}


def make_app(
    queue: JobQueue,
    names: Collection[str] = (),
    token: str = '',
    network: ServedNetwork | None = None,
) -> Callable[..., Any]:
    """Return the application of a server, for any server of ASGI.

    Args:
        queue: Its jobs; it is started and closed with the application.
        names: Names of this machine that requests may call it by, see
            :class:`~tfinet_mm.integrations.serve.guard.Guard`.
        token: Token that each request needs; empty for none.
        network: What the page and the interface tell of the network; None for nothing.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(queue.start)
        yield
        await run_in_threadpool(queue.close)

    # The pages of FastAPI on the interface load scripts from another server.
    app = FastAPI(
        title='TFINet-MM',
        version=__version__,
        description='Predict what changed between two images.',
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _no_such_page)
    app.add_exception_handler(RequestValidationError, _wrong_value)
    _add_pages(app, queue, token, network)
    _add_server(app, queue, network)
    _add_jobs(app, queue)
    _add_files(app, queue)
    _answer_head(app)
    return Guard(app, names, token)


def _answer_head(app: FastAPI) -> None:
    """Let programs ask for the headers of each page and file, as ``curl -I`` does."""
    for route in list(app.routes):
        if isinstance(route, APIRoute) and 'GET' in (route.methods or ()):
            app.add_api_route(route.path, route.endpoint, methods=['HEAD'], include_in_schema=False)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    # What is left of an upload is not read.
    headers = error.headers | ({'Connection': 'close'} if error.status in (413, 415) else {})
    return JSONResponse(dict(detail=str(error)), error.status, headers)


async def _no_such_page(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(dict(detail=error.detail), error.status_code, error.headers)


async def _wrong_value(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = [f'{one["loc"][-1]}: {one["msg"]}' for one in error.errors()]
    return JSONResponse(dict(detail='; '.join(said)), 422)


def _add_pages(app: FastAPI, queue: JobQueue, token: str, network: ServedNetwork | None) -> None:
    """Add what a browser shows."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('tfinet_mm.integrations.serve'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters['megabytes'] = megabytes

    def page(name: str, status: int = 200, **values: Any) -> Response:
        text = environment.get_template(name).render(version=__version__, **values)
        return HTMLResponse(text, status)

    @app.get('/', include_in_schema=False)
    def start() -> Response:
        return page('serve.html.j2', limits=queue.limits, network=network)

    @app.get('/static/{name}', include_in_schema=False)
    def static(name: str) -> Response:
        if name not in STATIC:
            raise Refusal(404, 'there is no such file')
        text = (files(__package__) / 'static' / name).read_text(encoding='utf-8')
        return Response(text, media_type=STATIC[name])

    @app.get(LOGIN, include_in_schema=False)
    def ask_token() -> Response:
        return page('login.html.j2', wrong=False) if token else RedirectResponse('/', 303)

    @app.post(LOGIN, include_in_schema=False)
    async def take_token(request: Request) -> Response:
        body = b''
        async for piece in request.stream():
            body += piece
            if len(body) > 4096:
                raise Refusal(413, 'the token is too long')
        given = parse_qs(body.decode('utf-8', 'replace')).get('token', [''])[0]
        if not token or not same(given, token):
            await asyncio.sleep(WRONG_TOKEN_S)
            return page('login.html.j2', 401, wrong=True)
        answer = RedirectResponse('/', 303)
        secure = request.url.scheme == 'https'
        answer.set_cookie(COOKIE, session(token), httponly=True, samesite='strict', secure=secure)
        return answer

    @app.get('/jobs/{id}/report', include_in_schema=False)
    def report(id: str) -> Response:
        job = _done(queue, id)
        return FileResponse(
            _product(job, REPORT),
            media_type='text/html; charset=utf-8',
            headers={
                'Content-Security-Policy': REPORT_POLICY,
                # Another value can't go together with a sandbox.
                'Cross-Origin-Opener-Policy': 'unsafe-none',
            },
        )


def _add_server(app: FastAPI, queue: JobQueue, network: ServedNetwork | None) -> None:
    """Add what programs may ask of the server itself."""

    @app.get('/api/health', summary='Say that the server answers')
    def health() -> dict[str, str]:
        return dict(status='ok', version=__version__)

    @app.get('/api/limits', summary='List the limits of the server')
    def limits() -> dict[str, float]:
        return queue.limits.public()

    @app.get('/api/network', summary='Tell the network, and the program that runs it')
    def tell_network() -> dict[str, str]:
        return {} if network is None else network.public()


def _add_jobs(app: FastAPI, queue: JobQueue) -> None:
    """Add the interface of jobs."""

    @app.get(
        '/api/jobs',
        summary='List all jobs, the newest first',
        responses=_answers(dict(type='array', items=JOB_SCHEMA)),
    )
    def list_jobs() -> list[dict[str, Any]]:
        return [queue.public(job) for job in queue.jobs()]

    @app.post(
        '/api/jobs',
        status_code=201,
        summary='Upload a pair, which is then predicted',
        responses=_answers(JOB_SCHEMA, 201),
        openapi_extra=dict(
            requestBody=dict(
                required=True, content={'multipart/form-data': dict(schema=FORM_SCHEMA)}
            )
        ),
    )
    async def new_job(request: Request) -> Response:
        check_length(request.headers.get('content-length'), queue.limits)
        job = queue.new()
        try:
            await receive(request, job, queue)
        except BaseException as error:
            await run_in_threadpool(queue.remove, job)
            if isinstance(error, OSError):
                raise Refusal(507, f'the upload could not be stored: {error.strerror}') from error
            raise
        return JSONResponse(queue.public(job), 201, headers={'Location': f'/api/jobs/{job.id}'})

    @app.get(
        '/api/jobs/{id}',
        summary='Describe a job, at once or when it has ended',
        responses=_answers(JOB_SCHEMA),
    )
    async def one_job(
        request: Request,
        id: str,
        wait: Annotated[
            float, Query(ge=0, le=LONGEST_WAIT_S, description='seconds to wait for its end')
        ] = 0,
    ) -> dict[str, Any]:
        end = time.monotonic() + wait
        while queue.job(id).state not in ENDED and time.monotonic() < end:
            if queue.closing or await request.is_disconnected():
                break
            await asyncio.sleep(WAIT_STEP_S)
        return queue.public(queue.job(id))

    @app.post('/api/jobs/{id}/cancel', summary='Stop a job', responses=_answers(JOB_SCHEMA))
    def cancel(id: str) -> dict[str, Any]:
        job = queue.job(id)
        queue.cancel(job)
        return queue.public(job)

    @app.delete(
        '/api/jobs/{id}', status_code=204, summary='Stop a job, and remove it with its files'
    )
    def delete(id: str) -> Response:
        queue.remove(queue.job(id))
        return Response(status_code=204)


def _add_files(app: FastAPI, queue: JobQueue) -> None:
    """Add the files of jobs."""

    @app.get('/api/jobs/{id}/log', summary='Show what the prediction of a job has printed')
    def log(id: str) -> PlainTextResponse:
        job = queue.job(id)
        return PlainTextResponse(read_log(job.log).replace(f'{job.folder}/', ''))

    @app.get('/api/jobs/{id}/files.zip', summary='Download all files of a job')
    def zip_of_files(request: Request, id: str) -> Response:
        job = _done(queue, id)
        names = [name for name in PRODUCTS if name in job.products]
        for name in names:
            _product(job, name)
        headers = _attached(f'changes-{job.id[:6]}.zip')
        if request.method == 'HEAD':
            return Response(media_type='application/zip', headers=headers)
        return StreamingResponse(
            zipped(job.results, names), media_type='application/zip', headers=headers
        )

    @app.get('/api/jobs/{id}/files/{name:path}', summary='Download a file of a job')
    def one_file(id: str, name: str) -> FileResponse:
        job = _done(queue, id)
        # Only names of the job's own list become paths.
        if name not in job.products or name not in PRODUCTS:
            raise Refusal(404, 'the job has no such file')
        return FileResponse(
            _product(job, name),
            media_type='application/octet-stream',
            headers=_attached(name.replace('/', '-')),
        )


def _attached(name: str) -> dict[str, str]:
    """Return headers by which a browser saves a file, and never shows it."""
    return {
        'Content-Disposition': f'attachment; filename="{name}"',
        'Content-Security-Policy': FILE_POLICY,
        'Cross-Origin-Opener-Policy': 'unsafe-none',
    }


def _done(queue: JobQueue, id: str) -> Job:
    job = queue.job(id)
    if job.state != DONE:
        raise Refusal(409, f'the job is {job.state}, so it has no files')
    return job


def _product(job: Job, name: str) -> Path:
    """Return the path of a file of a job.

    Raises:
        Refusal: It is there no longer.
    """
    path = job.results / name
    if not path.is_file():
        raise Refusal(404, f'{name} has been removed from the server; send the images again')
    return path


def check_length(header: str | None, limits: Limits) -> None:
    """Refuse an upload by what it says of its size, before any of it is read.

    Args:
        header: Its ``Content-Length``, None where it has none.
        limits: Limits of the server.

    Raises:
        Refusal: It is over the limit of two files.
    """
    size = int(header) if header and header.isdecimal() else 0
    if size > 2 * limits.upload_bytes + FORM_BYTES:
        raise Refusal(413, too_large(f'the upload of {megabytes(size)}', limits.upload_bytes))


async def _next_piece(pieces: AsyncIterator[bytes], queue: JobQueue) -> bytes:
    """Return the next bytes of an upload.

    Raises:
        StopAsyncIteration: There are no more.
        TimeoutError: None came for the time that the limits set.
        Refusal: The server stops.
    """
    end = time.monotonic() + queue.limits.upload_seconds
    waiting = asyncio.ensure_future(anext(pieces))
    try:
        while not waiting.done():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if queue.closing:
                raise Refusal(503, 'the server is stopping; send it again later')
            await asyncio.wait({waiting}, timeout=min(left, WAIT_STEP_S))
        return waiting.result()
    finally:
        waiting.cancel()


async def receive(request: Request, job: Job, queue: JobQueue) -> None:
    """Write an upload to the folder of its job, and let the job wait for its turn.

    Raises:
        Refusal: It can't be used, stalls, or the disk is full.
    """
    limits = queue.limits
    length = request.headers.get('content-length', '0')
    free = shutil.disk_usage(job.folder).free
    if free < RESERVE_BYTES + (int(length) if length.isdecimal() else 0):
        raise Refusal(507, f'{megabytes(free)} are left on the disk of the server; try again later')
    upload = Upload(request.headers.get('content-type', ''), job.folder, limits.upload_bytes)
    total, most = 0, 2 * limits.upload_bytes + FORM_BYTES
    started = time.monotonic()
    pieces = request.stream().__aiter__()
    try:
        while True:
            try:
                piece = await _next_piece(pieces, queue)
            except StopAsyncIteration:
                break
            total += len(piece)
            if total > most:
                raise Refusal(413, too_large('the upload', limits.upload_bytes))
            await run_in_threadpool(upload.feed, piece)
        form = upload.finish()
    except TimeoutError:
        raise Refusal(
            408,
            f'nothing of the upload came for {limits.upload_seconds:g} s, after '
            f'{time.monotonic() - started:.0f} s; send it again',
        ) from None
    except ClientDisconnect:
        raise Refusal(400, 'the upload was cut off; send it again') from None
    finally:
        upload.close()
    job.options = read_options(form.fields)
    job.names = {date: one.name for date, one in form.files.items()}
    job.files = {date: one.path.name for date, one in form.files.items()}
    await run_in_threadpool(queue.submit, job)
