"""The programs that are measured, each in a process of its own.

``python -m benchmarks.live.servers.KIND REDIS_URL [--idle S] [--reload S] [--ping S]``

- `ours`: this library with python-socketio
- `bare`: python-socketio without sessions
- `guide`: python-socketio with a timer per socket that looks for the session
- `entries`: connections of `ours` that are only in its registry
- `records`: sessions that `ours` only stores
- `program`: what they have in common: how they are run, asked and measured
- `meter`: the processor time, the memory and the loop of the own process
"""
