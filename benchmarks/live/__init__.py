"""What happens while nobody asks: ends, expiry, the reload, memory, growth.

The rows of `benchmarks` are requests and events; these figures are about
sockets that are merely open. ``python -m benchmarks.live --help`` is the
command; for another one::

    from benchmarks.live.figures import Figure, table
    from benchmarks.live.runner import run

    figures: list[Figure] = await run(only="ends|memory", quick=True)

`run` raises `WrongAnswerError` when something is wrong (a socket that
stays open, a session that stays stored), and `RuntimeError` when a
process does not start. `only` is a regular expression that is looked for
in the names of the parts (`runner.PARTS`).

- `figures.py`: what is found, and the table of it; `plots.py`: the same, drawn
- `runner.py`: the parts, in their order
- `ends.py`, `expiry.py`, `reload.py`, `memory.py`, `growth.py`: a part each
- `servers/`: the programs that are measured, each in a process of its own
- `children.py`, `people.py`, `light.py`, `javascript.py`: how a part talks to them
"""
