"""The web application: handlers behind Starlette, with bounds on what waits, is sent and is answered."""

from __future__ import annotations

import contextlib
import mimetypes
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddroad.errors import InputError
from oddroad.web.desk import Desk
from oddroad.web.figures import Figures
from oddroad.web.guard import Guard
from oddroad.web.reply import Call, Refused, Reply, as_json, busy
from oddroad.web.routes import ENDPOINTS, Endpoint, openapi

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/wasm", ".wasm")

LONGEST_WAIT = 20.0
"""Seconds that a request waits for a detector before it is told to come back."""

THREADS = 12
"""That serve what costs little; each keeps some memory, and more of them are no quicker."""


def page_folder() -> Path:
    """Where the page's files lie in the package."""
    return Path(str(resources.files("oddroad"))) / "web" / "page"


class Application:
    """Answers requests of one desk.

    Args:
        desk: what is shared.
        token: that requests must show; "" for none.
    """

    def __init__(self, desk: Desk, token: str = ""):
        import anyio

        self.desk, self.token, self.figures = desk, token, Figures(desk)
        self.heavy = anyio.CapacityLimiter(max(each.model.parallel for each in desk.detectors) + 1)
        self.waiting = 0

    def asgi(self) -> Any:
        """What a server such as uvicorn runs."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        own = [
            Endpoint("GET", "/openapi.json", openapi),
            Endpoint("GET", "/metrics", self.figures.page),
            Endpoint("GET", "/", asset),
            Endpoint("GET", "/page/{name:path}", asset),
            Endpoint("GET", "/favicon.ico", no_icon),
        ]
        routes = [Route(each.path, self.endpoint(each), methods=[each.method]) for each in [*ENDPOINTS, *own]]
        return Guard(Starlette(routes=routes, lifespan=self.lifespan), self.token)

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Any) -> AsyncIterator[None]:
        """What is done at the end: views are stopped after the frame they are at."""
        import anyio.to_thread

        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        yield
        await anyio.to_thread.run_sync(self.desk.views.close_all)

    def endpoint(self, each: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """The function that Starlette calls for an address."""

        async def answer(request: Request) -> Response:
            began = time.perf_counter()
            file: Path | None = None
            try:
                if each.file:
                    file = await self.received(request)
                    body = b""
                else:
                    body = await limited(request, self.desk.limits.request_bytes)
                headers = {name.lower(): value for name, value in request.headers.items()}
                call = Call(dict(request.path_params), dict(request.query_params), headers, body, file)
                reply = await self.run(each, call, request)
            except Refused as error:
                again = {} if error.retry is None else {"retry-after": str(error.retry)}
                plain = as_json({"error": str(error)}, error.status)
                reply = Reply(plain.body, plain.kind, again, error.status)
            except InputError as error:
                reply = as_json({"error": self.shown(str(error), file)}, 400)
            finally:
                if file is not None:
                    file.unlink(missing_ok=True)
            self.figures.requests.labels(each.path, reply.status).inc()
            self.figures.seconds.labels(each.path).observe(time.perf_counter() - began)
            if isinstance(reply.body, Iterator):
                from starlette.responses import StreamingResponse

                return StreamingResponse(self.stepwise(reply.body), reply.status, reply.headers, reply.kind)
            return response(reply, self.desk.folder)

        return answer

    def shown(self, words: str, file: Path | None) -> str:
        """A message without the places where files of clients lie."""
        return words.replace(f"{self.desk.folder}/", "")

    async def run(self, each: Endpoint, call: Call, request: Request) -> Reply:
        """Call a handler in a thread; the heavy ones few at a time.

        Raises:
            Refused: if too many wait already.
        """
        import anyio.to_thread

        if not each.heavy:
            return await anyio.to_thread.run_sync(each.handler, self.desk, call)
        if self.waiting >= self.desk.limits.waiting:
            raise busy(f"{self.waiting} requests wait for the detector")
        with self.counted():
            turn = False
            with anyio.move_on_after(LONGEST_WAIT):
                await self.heavy.acquire_on_behalf_of(request)
                turn = True
            if not turn:
                raise busy(f"the detector was not free for {LONGEST_WAIT:g} seconds")
            try:
                if await request.is_disconnected():
                    raise Refused("the client has left", 499)
                return await anyio.to_thread.run_sync(each.handler, self.desk, call)
            finally:
                self.heavy.release_on_behalf_of(request)

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count something that waits for a detector, or is with it."""
        self.waiting += 1
        self.figures.waiting.set(self.waiting)
        try:
            yield
        finally:
            self.waiting -= 1
            self.figures.waiting.set(self.waiting)

    async def stepwise(self, parts: Iterator[bytes]) -> AsyncIterator[bytes]:
        """The parts of an answer, each made when it is its turn: other requests never wait for a whole clip."""
        import anyio.to_thread

        with self.counted():
            while part := await anyio.to_thread.run_sync(next, parts, b"", limiter=self.heavy):
                yield part

    async def received(self, request: Request) -> Path:
        """The body of a request in a file of its own.

        Raises:
            Refused: if it is larger than an upload may be, empty, or the client left.
        """
        import anyio.to_thread

        most = self.desk.limits.upload_bytes
        refuse_length(request, most)
        path = self.desk.folder / f"received-{secrets.token_hex(8)}"
        size = 0
        try:
            with path.open("wb") as opened:
                async for part in stream(request):
                    size += len(part)
                    if size > most:
                        raise too_large(most)
                    await anyio.to_thread.run_sync(opened.write, part)
            if not size:
                raise Refused("the body is empty; expected the bytes of a file")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path


def too_large(most: int) -> Refused:
    """What is said of a body that is too large."""
    return Refused(f"the body is larger than the limit of {most / 2**20:g} MiB", 413)


def refuse_length(request: Request, most: int) -> None:
    """Refuse a body before it is read where its length is stated.

    Raises:
        Refused: if it is too large.
    """
    stated = request.headers.get("content-length", "0")
    if stated.isdigit() and int(stated) > most:
        raise too_large(most)


async def stream(request: Request) -> AsyncIterator[bytes]:
    """The parts of a body.

    Raises:
        Refused: if the client left before its end.
    """
    from starlette.requests import ClientDisconnect

    try:
        async for part in request.stream():
            yield part
    except ClientDisconnect:
        raise Refused("the client left before the end of what it sent", 499) from None


async def limited(request: Request, most: int) -> bytes:
    """The body of a request.

    Raises:
        Refused: if it is too large.
    """
    refuse_length(request, most)
    parts, size = [], 0
    async for part in stream(request):
        size += len(part)
        if size > most:
            raise too_large(most)
        parts.append(part)
    return b"".join(parts)


def response(reply: Reply, folder: Path) -> Response:
    """What Starlette sends; a file made for this answer alone is deleted afterwards."""
    from starlette.background import BackgroundTask
    from starlette.responses import FileResponse, Response

    headers = {"cache-control": "no-store", **reply.headers}
    if isinstance(reply.body, bytes):
        return Response(reply.body, reply.status, headers, reply.kind)
    assert isinstance(reply.body, Path)
    made = reply.body.name == "clip.mp4" and reply.body.parent.parent == folder
    after = BackgroundTask(shutil.rmtree, reply.body.parent, ignore_errors=True) if made else None
    return FileResponse(reply.body, reply.status, headers, reply.kind, background=after)


def asset(desk: Desk, call: Call) -> Reply:
    """A file of the page."""
    root = page_folder().resolve()
    name = call.path.get("name") or "index.html"
    if "\0" in name:
        raise Refused("there is no such page", 404)
    path = (root / name).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise Refused("there is no such page", 404)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Reply(path.read_bytes(), kind, {"cache-control": "no-cache"})


def no_icon(desk: Desk, call: Call) -> Reply:
    """Nothing: the page names its icon."""
    return Reply(b"", "image/x-icon", status=204)
