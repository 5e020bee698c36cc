"""A parent with memory that its children share: usage: family.py SHARED_MB CHILDREN OWN_MB.

Prints ``ready`` when every child has touched what is its own; then all sleep.
"""

import os
import sys
import time


def touched(megabytes: int) -> bytearray:
    """So much memory, every page of it written to."""
    block = bytearray(megabytes << 20)
    block[::4096] = bytes(len(block) // 4096)
    return block


shared, children, own = (int(word) for word in sys.argv[1:4])
block = touched(shared)
told, tell = os.pipe()
for _ in range(children):
    if os.fork() == 0:
        mine = touched(own)
        os.write(tell, b".")
        time.sleep(600)
for _ in range(children):
    os.read(told, 1)
print("ready", flush=True)
time.sleep(600)
