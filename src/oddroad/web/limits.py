"""What a client may ask for: bytes, pixels, frames, seconds, and how much is kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of everything that grows with what clients send or ask for.

    Attributes:
        upload_bytes: of one file that a client sends.
        uploads_bytes: of all such files that are kept.
        request_bytes: of any other request.
        pixels: of a picture or a frame.
        frames: of one source that are judged.
        seconds: that judging one source may take.
        kept_bytes: of frames and maps on disk, all views together; the view not looked at for the longest goes first.
        views: sources that are kept at the same time.
        live_frames: of a camera or stream, the latest that are kept.
        unseen_seconds: after which a camera or stream that nobody looks at is let go.
        waiting: requests to judge something that may wait; further ones are told to come back.
    """

    upload_bytes: int = 512 * 2**20
    uploads_bytes: int = 2 * 2**30
    request_bytes: int = 64 * 2**20
    pixels: int = 50_000_000
    frames: int = 20_000
    seconds: float = 3600.0
    kept_bytes: int = 4 * 2**30
    views: int = 32
    live_frames: int = 600
    unseen_seconds: float = 30.0
    waiting: int = 32
