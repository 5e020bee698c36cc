"""Write coupon totals, a JSON list on standard input, to results/coupons.db. Runs on any python3 from 3.9 on."""

import json
import os
import sqlite3
import sys

Row = tuple[int, int, int, int, int]
RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "results")


def store(rows: list[Row]) -> None:
    """Replace the table of totals as one transaction, and say what is in it."""
    path = os.path.normpath(os.path.join(RESULTS, "coupons.db"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE IF EXISTS totals")
        db.execute("CREATE TABLE totals (month INT, coupon INT, redemptions INT, new_customers INT, cents INT)")
        db.executemany("INSERT INTO totals VALUES (?, ?, ?, ?, ?)", rows)
        redemptions, euros = db.execute("SELECT sum(redemptions), sum(cents) / 100 FROM totals").fetchone()
    db.close()
    print("%d redemptions worth %d EUR in %d rows of %s" % (redemptions, euros, len(rows), path))


if __name__ == "__main__":
    store([tuple(row) for row in json.load(sys.stdin)])
