"""What a session costs, measured against the same framework without one.

``python -m benchmarks`` is the whole interface; README.md tells the
method. Nothing here is imported by the library.
"""
