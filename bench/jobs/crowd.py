"""A parent with 200 MB: alone for a while, then one child, then eight more at once. Prints ``ready`` at the end."""

import os
import time


def touched(megabytes: int) -> bytearray:
    """So much memory, every page of it written to."""
    block = bytearray(megabytes << 20)
    block[::4096] = bytes(len(block) // 4096)
    return block


block = touched(200)
time.sleep(2)
for crowd in (1, 8):
    for _ in range(crowd):
        if os.fork() == 0:
            time.sleep(600)
    time.sleep(3)
print("ready", flush=True)
time.sleep(600)
