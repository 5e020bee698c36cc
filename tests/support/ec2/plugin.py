"""The imitated session-manager-plugin, a program: ``plugin.py VARIABLE REGION StartSession PROFILE PARAMS ENDPOINT``.

It takes the session from the environment as the real one does, asks the cloud where the session leads, and moves bytes
between its standard streams and there until one side ends.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import urllib.request

BLOCK = 1 << 16


def main() -> int:
    variable, _region, operation, _profile, _asked, endpoint = sys.argv[1:]
    session = json.loads(os.environ[variable])
    if operation != "StartSession":
        return 255
    asked = json.dumps({"session": session["SessionId"], "token": session["TokenValue"]}).encode()
    try:
        with urllib.request.urlopen(f"{endpoint.rstrip('/')}/session", asked, timeout=10) as answer:
            address, port = json.load(answer)
        with socket.create_connection((address, port), timeout=10) as far:
            far.settimeout(None)
            relay(far)
    except OSError as error:
        print(f"\nCannot perform start session: {error}", file=sys.stderr)
        return 255
    return 0


def relay(far: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([0, far], [], [])
        if far in ready:
            said = far.recv(BLOCK)
            if not said:
                return
            os.write(1, said)
        if 0 in ready:
            said = os.read(0, BLOCK)
            if not said:
                return
            far.sendall(said)


if __name__ == "__main__":
    sys.exit(main())
