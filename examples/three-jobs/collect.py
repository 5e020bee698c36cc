"""Collect pages over HTTP: the sources and licences that ship with Python, from a web server of our own on loopback.

Writes results/pages.jsonl, one {"path", "text"} a line.
"""

import argparse
import html
import json
import sysconfig
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

from progress import bar

LIBRARY = Path(sysconfig.get_path("stdlib"))
RESULTS = Path(__file__).parent / "results"


def shipped_texts() -> list[str]:
    """Paths, relative to the library, of every text the server offers."""
    texts = [p for kind in ("*.py", "*.txt", "*LICENSE*") for p in LIBRARY.rglob(kind) if is_shipped(p)]
    return sorted({str(p.relative_to(LIBRARY)) for p in texts if "site-packages" not in p.parts})


def is_shipped(path: Path) -> bool:
    """Whether it is a file of the library itself; Debian's has links that lead out of it, into /etc."""
    return path.resolve().is_relative_to(LIBRARY.resolve()) and path.is_file()


class Site(BaseHTTPRequestHandler):
    """An index page at `/`, and one page for every text."""

    def do_GET(self) -> None:  # the name http.server calls
        """Answer with the index or a text; nothing outside the library."""
        path = unquote(self.path[1:])
        if not path:
            links = "".join(f'<li><a href="/{quote(p)}">{html.escape(p)}</a></li>' for p in shipped_texts())
            self.reply(200, f"<ul>{links}</ul>".encode(), "text/html")
        elif is_shipped(LIBRARY / path):
            self.reply(200, (LIBRARY / path).read_bytes(), "text/plain")
        else:
            self.reply(404, b"no such page", "text/plain")

    def reply(self, status: int, body: bytes, kind: str) -> None:
        """Send one whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as http.server names it
        """Leave the terminal to the progress bar."""


class Links(HTMLParser):
    """The targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the target of a link."""
        self.found += [value for key, value in attrs if tag == "a" and key == "href" and value]


def fetch(url: str) -> str:
    """The text of one page."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # our own server, by http
        return bytes(answer.read()).decode(errors="replace")


def collect(site: str, limit: int | None) -> int:
    """Follow every link of the index and keep what is there; returns the number of pages."""
    index = Links()
    index.feed(fetch(site + "/"))
    paths = index.found[:limit]
    with ThreadPoolExecutor(8) as pool, (RESULTS / "pages.jsonl").open("w") as out:
        pages = pool.map(fetch, (site + path for path in paths))
        for path, text in bar(zip(paths, pages, strict=True), len(paths), "collect"):
            out.write(json.dumps({"path": unquote(path[1:]), "text": text}) + "\n")
    return len(paths)


def main() -> None:
    """Serve, collect, stop serving."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="collect only the first LIMIT pages")
    limit = parser.parse_args().limit
    RESULTS.mkdir(exist_ok=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        count = collect(f"http://127.0.0.1:{server.server_port}", limit)
        server.shutdown()
    print(f"{count} pages in {RESULTS / 'pages.jsonl'}")


if __name__ == "__main__":
    main()
