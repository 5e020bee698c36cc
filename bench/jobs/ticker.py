"""Print a line with the time (ns on the monotonic clock, which all processes share) at random intervals.

usage: ticker.py LINES GO: begins once the file GO is there.
"""

import os
import random
import sys
import time

lines, go = int(sys.argv[1]), sys.argv[2]
while not os.path.exists(go):
    time.sleep(0.01)
chance = random.Random(1)
for _ in range(lines):
    time.sleep(min(0.3, chance.expovariate(1 / 0.05)))
    os.write(1, b"%d\n" % time.monotonic_ns())
