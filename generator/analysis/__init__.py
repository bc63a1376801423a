"""What the counts of an experiment show: pure functions over `counts`, with guarantees that hold at every look.

`verdict.verdict` is the rule; the other modules are its parts. Nothing here reads, writes or knows the time.
"""
