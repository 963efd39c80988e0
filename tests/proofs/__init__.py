"""The four promises under concurrency, faults and attack, with figures.

Each proof runs in `make test` at a size that takes seconds, and in
`make test-long` at the size that its docstring names.
"""
