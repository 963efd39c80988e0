"""The store contract, run over every store of ours."""
