"""How GitHub says no."""

from __future__ import annotations

from tests.support.github.wire import Answer

_DOCS = "https://docs.github.com/rest"


class Refusal(Exception):
    """Told instead of an answer; ``needs`` is the scope that would have helped."""

    def __init__(self, status: int, message: str, needs: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.needs = needs

    def answer(self) -> Answer:
        """As it goes over the wire."""
        headers = {"X-Accepted-OAuth-Scopes": self.needs} if self.needs else {}
        said = {"message": self.message, "documentation_url": _DOCS, "status": str(self.status)}
        return Answer(self.status, said, headers)


def not_found() -> Refusal:
    """There is no such thing, or you may not know."""
    return Refusal(404, "Not Found")


def not_from_inside() -> Refusal:
    """A codespace's own token may not do this."""
    return Refusal(403, "Resource not accessible by integration")
