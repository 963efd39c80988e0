"""The peers: other frameworks with the session package people use there.

They run in interpreters of their own, from ``.cache/bench/``, so none
is a dependency of the library. The routes and what they answer are told
in ``benchmarks.subjects``; of the benchmark they import
``benchmarks.content`` only.
"""
