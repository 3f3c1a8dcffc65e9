"""Refuse a request with a status of HTTP and a sentence."""

from __future__ import annotations

from tfinet_mm.errors import TFINetError


class Refusal(TFINetError):
    """A request can't be answered.

    Args:
        status: Status of HTTP, 400 to 599.
        message: What was found, what was expected and the fix.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
