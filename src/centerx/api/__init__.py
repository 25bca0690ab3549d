"""The commands as functions: `centerx.train`, `merge`, `evaluate`, `predict`, `export` and `label`.

They take paths, plain values or objects, return results and print nothing. Each module imports what is heavy inside
its functions, so that those that need no torch run without it.
"""
