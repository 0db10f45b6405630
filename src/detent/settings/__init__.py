"""What an operator can decide, and how it is told.

Owns: the declarations of all settings, where their values come from, whether they fit together.
Leaves: what a setting does to whoever reads it. Rule: what cannot be meant stops the start, named with its place.
"""
