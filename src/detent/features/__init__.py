"""Optional specifications: one file each, deletable, listed in exactly one place (`app.py`).

Owns: whatever one specification adds, as one `Feature` value.
Leaves: storage to records and `extra`, the base protocol to grants/ and endpoints/. Features never import each other.
"""
