"""What tests of detent, and of what is built on it, are made with; public, and no part of a running server.

Owns: a clock that tests move, small factories, real servers in the test's process, and the contract suite that
every store passes (`detent.testing.store_contract`). Leaves: what is asserted to the tests. Needs pytest.
"""
