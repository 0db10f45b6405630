"""One file per endpoint: from `Request` to `Response`.

Owns: the order of steps at each endpoint and what its answer says.
Leaves: what a grant demands to grants/ and features/, tokens to tokens/, parsing and error bodies to web/.
"""
