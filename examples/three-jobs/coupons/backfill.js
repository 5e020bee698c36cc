// Aggregate a year of generated coupon redemptions and store the totals in SQLite: node backfill.js [REDEMPTIONS]
// Node only has SQLite from version 22 on, so the rows go to store.py, which any python3 can run.
// backfill.py is the same program for machines without Node: the same seed gives the same database.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

const REDEMPTIONS = Number(process.argv[2] ?? 6_000_000);
const [SEED, MONTHS, COUPONS, CUSTOMERS] = [20260216, 12, 40, 60_000];

// xorshift32: whole numbers only, so every language agrees.
let state = SEED;
function draw(below) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}

// Customers are told apart by the hash of their address: the address itself is kept nowhere.
const pseudonym = (customer) => createHash("sha256").update(`${customer}@example.com`).digest("base64").slice(0, 16);

// One row a coupon; `reached` holds who ever redeemed it, so a month counts only its new customers.
function aggregate(month, count, reached) {
  const totals = reached.map((customers) => ({ redemptions: 0, cents: 0, before: customers.size }));
  for (let i = 0; i < count; i++) {
    const coupon = draw(COUPONS);
    totals[coupon].redemptions += 1;
    reached[coupon].add(pseudonym(draw(CUSTOMERS)));
    totals[coupon].cents += 50 + draw(1950);
  }
  return totals.map((t, coupon) => [month, coupon, t.redemptions, reached[coupon].size - t.before, t.cents]);
}

const reached = Array.from({ length: COUPONS }, () => new Set());
const rows = [];
for (let month = 1; month <= MONTHS; month++) {
  rows.push(...aggregate(month, Math.floor(REDEMPTIONS / MONTHS), reached));
  console.log(`backfill   month ${month}/${MONTHS}`);
}
const store = spawnSync(process.env.PYTHON ?? "python3", [fileURLToPath(new URL("store.py", import.meta.url))], {
  input: JSON.stringify(rows),
  stdio: ["pipe", "inherit", "inherit"],
});
process.exit(store.status ?? 1);
