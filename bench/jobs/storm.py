"""A parent with memory and a storm of short children, a random few at a time: storm.py SHARED_MB SECONDS."""

import os
import random
import sys
import time


def touched(megabytes: int) -> bytearray:
    """So much memory, every page of it written to."""
    block = bytearray(megabytes << 20)
    block[::4096] = bytes(len(block) // 4096)
    return block


block = touched(int(sys.argv[1]))
until = time.monotonic() + float(sys.argv[2])
chance = random.Random(1)
print("ready", flush=True)
while time.monotonic() < until:
    crowd = chance.randrange(1, 9)
    for _ in range(crowd):
        if os.fork() == 0:
            mine = touched(1)
            time.sleep(0.02)
            os._exit(0)
    for _ in range(crowd):
        os.wait()
