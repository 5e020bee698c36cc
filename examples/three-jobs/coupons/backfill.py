"""backfill.js for machines without Node: the same seed, the same redemptions, the same database.

python backfill.py [REDEMPTIONS]
"""

import sys
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256

from store import Row, store

SEED, MONTHS, COUPONS, CUSTOMERS = 20260216, 12, 40, 60_000


def draws(state: int) -> Iterator[int]:
    """xorshift32: whole numbers only, so every language agrees."""
    while True:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        yield state


def pseudonym(customer: int) -> bytes:
    """Customers are told apart by the hash of their address: the address itself is kept nowhere."""
    return b64encode(sha256(b"%d@example.com" % customer).digest())[:16]


def aggregate(month: int, count: int, reached: list[set[bytes]], numbers: Iterator[int]) -> list[Row]:
    """One row a coupon; `reached` holds who ever redeemed it, so a month counts only its new customers."""
    redemptions, cents = [0] * COUPONS, [0] * COUPONS
    before = [len(customers) for customers in reached]
    for _ in range(count):
        coupon = next(numbers) % COUPONS
        redemptions[coupon] += 1
        reached[coupon].add(pseudonym(next(numbers) % CUSTOMERS))
        cents[coupon] += 50 + next(numbers) % 1950
    return [(month, c, redemptions[c], len(reached[c]) - before[c], cents[c]) for c in range(COUPONS)]


def main() -> None:
    """Generate, aggregate, store."""
    redemptions = int(sys.argv[1]) if len(sys.argv) > 1 else 6_000_000
    numbers = draws(SEED)
    reached: list[set[bytes]] = [set() for _ in range(COUPONS)]
    rows: list[Row] = []
    for month in range(1, MONTHS + 1):
        rows += aggregate(month, redemptions // MONTHS, reached, numbers)
        print(f"backfill   month {month}/{MONTHS}", flush=True)
    store(rows)


if __name__ == "__main__":
    main()
