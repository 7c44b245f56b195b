"""The fault suite: submit tasks while faults strike, then decide from outside what was kept.

`generator` submits and writes down what it was told, `strike` and `proxy` do harm, `evidence` reads
what is left, `checks` compare the two. `run` joins them; `taskyard drill` is its front.
"""
