"""Hands packets to and fro between two network namespaces, each after a fixed time; the kernel here has no netem.

delay.py PID DEVICE PID DEVICE SECONDS makes a TAP device in the network namespace of either process, prints its own
pid, and runs until its standard input closes. The kernel hands over up to 64 KiB at once, hence the throughput.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque
from contextlib import suppress

_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_CHECKSUMS_AND_SEGMENTS = 0x01 | 0x02 | 0x04  # TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _tap(pid: int, name: str) -> int:
    """A TAP device in the network namespace of a process."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(namespace)
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR))
    fcntl.ioctl(tap, _TUNSETOFFLOAD, _CHECKSUMS_AND_SEGMENTS)
    return tap


def main() -> None:
    """Run until standard input closes."""
    taps = _tap(int(sys.argv[1]), sys.argv[2]), _tap(int(sys.argv[3]), sys.argv[4])
    delay = float(sys.argv[5])
    ways = {taps[0]: taps[1], taps[1]: taps[0]}
    waiting: deque[tuple[float, int, bytes]] = deque()  # in the order of their times, since all wait equally long
    print(os.getpid(), flush=True)
    while True:
        until = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([*taps, sys.stdin], [], [], until)
        if sys.stdin in ready:
            return
        for tap in set(ready) & set(taps):
            with suppress(BlockingIOError):
                for _ in range(64):
                    waiting.append((time.monotonic() + delay, ways[tap], os.read(tap, 1 << 17)))
        while waiting and waiting[0][0] <= time.monotonic():
            _, tap, packet = waiting.popleft()
            with suppress(OSError):  # a full or absent network drops it
                os.write(tap, packet)


if __name__ == "__main__":
    main()
