"""What each refresh strategy costs and lets happen, measured: a whole house on SQLite, asked at its own endpoints.

Owns: the situations (a thief, a lost answer, a second device …) and the counting. Leaves: the conclusions to
docs/strategies.md, whose figures it prints: `python -m detent.testing.strategies [PAGE]`.
"""
