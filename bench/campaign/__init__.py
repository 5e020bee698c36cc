"""A random campaign against a real host: clients at work, faults of every kind, an oracle that knows nothing of orch.

``plan`` says what will happen, from a seed alone; ``places`` are what it happens to, ``faults`` what goes wrong there;
``ways`` are how a client speaks, ``play`` lets it all happen; ``work`` is the job itself, which leaves traces that orch
cannot touch; ``oracle`` compares those traces with what orch told.

Invariants
- The oracle reads what jobs did by themselves, what orch answered, the bytes of the logs and the tables of the ledger.
  Nothing of orch_agent is imported for a verdict.
- Only processes of the place itself are ended, by pid, after a look at who they are.
"""
