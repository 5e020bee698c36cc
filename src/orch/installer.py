"""Runs on the host, once for every version of the agent: unpack what comes in, compile it, put it in place.

Its source is sent as text to a Python 3.9 or later that has never heard of orch, so it imports nothing of ours.
What comes in must have the sha256 that was announced: a link may end early. The rename is the only step that others
can see. So half an agent is impossible and racing installers are harmless. Beside the agent lies ``python``, a link to
the interpreter that installs it: that one runs it from then on, and when it is gone, the agent is installed anew.
``agent``, a link, is the one that came last: a path that stays, for what asks on the host itself.
"""

import compileall
import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile


def install(target: str, sha256: str) -> None:
    """Make ``target`` an agent's directory out of the tar on standard input."""
    parcel = sys.stdin.buffer.read()
    if hashlib.sha256(parcel).hexdigest() != sha256:
        raise OSError("only %d bytes of it arrived" % len(parcel))
    root = os.path.dirname(target)
    os.makedirs(root, mode=0o700, exist_ok=True)
    aside = tempfile.mkdtemp(prefix=".agent-", dir=root)
    try:
        _unpack(parcel, aside)
        # Not a virtual environment's: those come and go.
        os.symlink(getattr(sys, "_base_executable", None) or sys.executable, os.path.join(aside, "python"))
        if not compileall.compile_dir(aside, quiet=2):
            raise OSError("Python %s cannot compile it" % sys.version.split()[0])
        _sync_tree(aside)
        _put(aside, target)
        _point(os.path.join(root, "agent"), target)
        _sync(root)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _unpack(parcel: bytes, directory: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(parcel)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None  # the parcel holds files only
            path = os.path.join(directory, member.name)
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with open(path, "wb") as file:
                shutil.copyfileobj(content, file)


def _put(aside: str, target: str) -> None:
    try:
        os.rename(aside, target)
    except OSError:
        if all(os.path.exists(os.path.join(target, name)) for name in ("__main__.py", "python")):
            return  # another installer was faster, with the same bytes
        os.rename(target, os.path.join(aside, "ruin"))  # somebody deleted parts of it, or its Python
        os.rename(aside, target)
        shutil.rmtree(os.path.join(target, "ruin"), ignore_errors=True)


def _point(link: str, target: str) -> None:
    aside = "%s.%d" % (link, os.getpid())
    try:
        os.symlink(os.path.basename(target), aside)
        os.rename(aside, link)
    except OSError:
        pass  # a convenience


def _sync_tree(directory: str) -> None:
    for parent, _, names in os.walk(directory):
        for name in names:
            if not os.path.islink(os.path.join(parent, name)):
                _sync(os.path.join(parent, name))
        _sync(parent)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    os.umask(0o077)
    try:
        install(sys.argv[1], sys.argv[2])
    except OSError as error:
        sys.exit(str(error))
